// What the samples print with: numbers for people, and a line of progress on a terminal.
#ifndef USERPAGER_SAMPLES_SUPPORT_CONSOLE_H_
#define USERPAGER_SAMPLES_SUPPORT_CONSOLE_H_

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace samples {

// 1234567 as "1,234,567".
inline std::string Grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

inline std::string InMiB(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

inline double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One line on the terminal that is written over; nothing where standard error is no terminal.
class Progress {
 public:
  ~Progress() { Clear(); }

  // Shows the line unless one was shown a moment ago.
  void Show(const char* what, uint64_t done, uint64_t all, uint64_t files) {
    if (!terminal_ || (shown_ && SecondsSince(shown_at_) < 0.2)) return;
    const double part = all == 0 ? 0 : 100.0 * static_cast<double>(done) / static_cast<double>(all);
    std::fprintf(stderr, "\r\x1b[K%s%3.0f%%%s %s: %s of %s, %s files", colour_ ? "\x1b[1m" : "",
                 part, colour_ ? "\x1b[0m" : "", what, InMiB(done).c_str(), InMiB(all).c_str(),
                 Grouped(files).c_str());
    shown_ = true;
    shown_at_ = std::chrono::steady_clock::now();
  }
  void Clear() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
    shown_ = false;
  }

 private:
  static bool ColourWanted() {
    const char* no_color = std::getenv("NO_COLOR");
    return no_color == nullptr || *no_color == '\0';
  }

  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  const bool colour_ = ColourWanted();
  bool shown_ = false;
  std::chrono::steady_clock::time_point shown_at_;
};

}  // namespace samples

#endif  // USERPAGER_SAMPLES_SUPPORT_CONSOLE_H_
