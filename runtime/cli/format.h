// Text of numbers, for people and for pages.
#ifndef USERPAGER_CLI_FORMAT_H_
#define USERPAGER_CLI_FORMAT_H_

#include <cstdint>
#include <string>

namespace userpager::cli {

// As printf, into a string.
[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...);

// The text with <, >, & and " as HTML and SVG want them.
std::string Escaped(const std::string& text);

// "1.50 GiB", "12.0 MiB", "4 KiB", "0".
std::string SizeText(double bytes);
// "1.25 s", "310 ms", "42 us".
std::string DurationText(double nanoseconds);
// "12,345,678".
std::string CountText(uint64_t count);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_FORMAT_H_
