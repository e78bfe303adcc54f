// Looks from outside at a program that runs with its memory managed, and at all its children: what
// is resident, by the kernel's count, and what their pagers have done.
#ifndef USERPAGER_TESTS_PROGRAMS_PROCESS_WATCH_H_
#define USERPAGER_TESTS_PROGRAMS_PROCESS_WATCH_H_

#include <sys/types.h>

#include <cstdint>

namespace userpager::programs {

class ProcessWatch {
 public:
  explicit ProcessWatch(pid_t first) : first_(first) {}

  // Looks once. What has ended meanwhile is not there.
  void Look();

  // The most anonymous memory, of stacks as well, that one process had at one of the looks.
  uint64_t most_bytes() const { return most_bytes_; }
  // The most that one process had written to its page file, and had read from it.
  uint64_t pages_out() const { return pages_out_; }
  uint64_t pages_in() const { return pages_in_; }

 private:
  const pid_t first_;
  unsigned looks_ = 0;
  uint64_t most_bytes_ = 0;
  uint64_t pages_out_ = 0;
  uint64_t pages_in_ = 0;
};

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_PROCESS_WATCH_H_
