// FaultBacklog: how many threads wait for a userfaultfd's answer, as the kernel counts them
// (/proc/self/fdinfo), and whether the descriptor still is that userfaultfd.
#ifndef USERPAGER_PLATFORM_FAULT_BACKLOG_H_
#define USERPAGER_PLATFORM_FAULT_BACKLOG_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace userpager {

// What was true at one instant.
struct FaultCounts {
  uint64_t unread = 0;  // threads whose message nobody has read yet
  uint64_t all = 0;     // threads that wait, these included
};

class FaultBacklog {
 public:
  FaultBacklog() = default;
  ~FaultBacklog();
  FaultBacklog(const FaultBacklog&) = delete;
  FaultBacklog& operator=(const FaultBacklog&) = delete;

  // Where there is no /proc nothing is known of the descriptor, and it counts as sound.
  void Open(int userfaultfd);

  // In a forked child, whose copies of the parent's descriptors are closed: as never opened.
  void Forget() {
    file_ = -1;
    identity_length_ = 0;
  }

  // False where the descriptor was closed, or is of something else by now. One system call. From
  // any thread.
  bool Read(FaultCounts* counts) const;

 private:
  // The kernel's text, or an empty one and errno.
  std::string_view ReadText(char* buffer, size_t bytes) const;

  int file_ = -1;
  char identity_[128];  // what the text begins with: flags, mount, inode
  size_t identity_length_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_FAULT_BACKLOG_H_
