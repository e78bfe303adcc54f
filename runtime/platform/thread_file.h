// ThreadFile: the beginning of one of the files that /proc has of each thread, proc(5).
#ifndef USERPAGER_PLATFORM_THREAD_FILE_H_
#define USERPAGER_PLATFORM_THREAD_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace userpager {

class ThreadFile {
 public:
  // Of a thread of this process. Empty where there is no such thread, or no /proc.
  ThreadFile(uint32_t thread_id, const char* name);
  std::string_view text() const { return {text_, length_}; }

 private:
  char text_[64];
  size_t length_ = 0;
};

// What wchan says of a thread that sleeps in the fault of a page that a userfaultfd watches.
inline constexpr std::string_view kSleepsInFault = "handle_userfault";

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_THREAD_FILE_H_
