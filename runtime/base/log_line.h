// One line of text built without malloc, locale or stdio, so that it can be written from the fault
// path, from under a lock and from a process whose heap is broken.
#ifndef USERPAGER_BASE_LOG_LINE_H_
#define USERPAGER_BASE_LOG_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace userpager {

// A number to be shown in hexadecimal with 0x before it.
struct Hex {
  uint64_t value;
};

// The text of an errno value: "No such file or directory (ENOENT)", from the C library's constant
// tables, which need no malloc.
struct ErrnoText {
  int error;
};

// Text beyond the capacity is cut and the line ends in "...".
class LogLine {
 public:
  static constexpr size_t kCapacity = 1024;

  LogLine& operator<<(std::string_view text);
  LogLine& operator<<(const char* text) { return *this << std::string_view(text); }
  LogLine& operator<<(Hex hex);
  LogLine& operator<<(ErrnoText error);
  template <typename Integer>
    requires std::is_integral_v<Integer>
  LogLine& operator<<(Integer value) {
    if constexpr (std::is_signed_v<Integer>) {
      return AppendSigned(value);
    } else {
      return AppendUnsigned(value);
    }
  }

  std::string_view text() const { return {buffer_, length_}; }
  // The text with a zero byte behind it.
  const char* c_str() {
    buffer_[length_] = '\0';
    return buffer_;
  }

  // Writes "userpager: <text>\n" to standard error with one write(2).
  void Write() const;

 private:
  LogLine& AppendUnsigned(uint64_t value);
  LogLine& AppendSigned(int64_t value);

  char buffer_[kCapacity + 1];
  size_t length_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_BASE_LOG_LINE_H_
