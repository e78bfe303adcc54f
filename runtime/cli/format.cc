#include "runtime/cli/format.h"

#include <cstdarg>
#include <cstdio>

namespace userpager::cli {

std::string Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(static_cast<size_t>(length > 0 ? length : 0), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string SizeText(double bytes) {
  if (bytes < 1) return "0";
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = bytes / 1024;
  unsigned unit = 0;
  for (; value >= 1024 && unit < 3; ++unit) value /= 1024;
  const char* const form = value >= 100 || unit == 0 ? "%.0f %s" : value >= 10 ? "%.1f %s"
                                                                             : "%.2f %s";
  return Format(form, value, units[unit]);
}

std::string DurationText(double nanoseconds) {
  if (nanoseconds >= 1e9) return Format("%.3g s", nanoseconds / 1e9);
  if (nanoseconds >= 1e6) return Format("%.3g ms", nanoseconds / 1e6);
  return Format("%.3g us", nanoseconds / 1e3);
}

std::string CountText(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

}  // namespace userpager::cli
