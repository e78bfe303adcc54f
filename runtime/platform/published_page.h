// PublishedPage: memory of this process that others can read, and the file by which they find it.
//
// The memory       is an unnamed file (memfd) with mode 0600, sealed: nobody can make it shorter
//                  (which would kill its users) or, but for this process, write to it. Others open
//                  it as /proc/PID/fd/N, which the kernel allows to who may look into the process.
// The announcement is a file DIRECTORY/userpager-PID-NUMBER, mode 0600, that says which descriptor
//                  that is. The directory is /dev/shm, or, where nothing can be made there, what
//                  XDG_RUNTIME_DIR names. The file appears complete; no other ever has its name.
// Liveness         is a lock (flock) on the announcement that this process holds by a mapping of
//                  it, for as long as it lives and executes no other program; then the kernel ends
//                  it. Who gets the lock may remove the file. At its exit the process does that.
// Forked children  have neither: both mappings are left out of them.
//
// Not thread-safe.
#ifndef USERPAGER_PLATFORM_PUBLISHED_PAGE_H_
#define USERPAGER_PLATFORM_PUBLISHED_PAGE_H_

#include <linux/limits.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/observe/statistics_page.h"

namespace userpager {

class PublishedPage {
 public:
  static constexpr const char* kDirectory = "/dev/shm";
  static constexpr const char* kNamePrefix = "userpager-";

  PublishedPage() = default;
  ~PublishedPage();
  PublishedPage(const PublishedPage&) = delete;
  PublishedPage& operator=(const PublishedPage&) = delete;

  // Takes zeroed memory. With `for_others` it can be announced; where the kernel does not give such
  // memory, it is private, and `why` says so. False: there is no memory at all.
  bool Make(uint64_t bytes, bool for_others, LogLine* why);
  void* memory() const { return memory_; }
  bool can_be_announced() const { return descriptor_ >= 0; }

  // Lets others find it. On failure `error` has one line, and nothing is left behind. Removes
  // announcements of processes that have ended.
  Errno Announce(LogLine* error);
  // Removes the announcement. In a forked child nothing.
  void Withdraw();

  // In a forked child: the memory is zeros of its own from now on. May be called again.
  void ForgetInChild();
  // After it, in a child that counts for itself: zeroed memory in the same place, which can be
  // announced if the parent's could. Where that cannot be had, it stays as it is.
  void RemakeInChild();

  // The announcement as somebody may have changed it. False: it is gone, or no longer what it was.
  bool ReadAnnouncement(Announcement* found) const;

  // Waits until somebody wakes the word, which is in the memory, or for so many milliseconds
  // (negative: for ever). May return for no reason.
  static void AwaitWake(std::atomic<uint32_t>& word, int milliseconds);
  // Wakes whoever waits on the word, in any process; a mapping for reading is enough.
  static void Wake(const std::atomic<uint32_t>& word);

  // Removes announcements in the directory whose processes have ended. kSparingly: a bounded
  // number, and only of processes that are easily seen to be gone, or that this one was before it
  // executed the present program.
  enum class Thoroughness : uint8_t { kSparingly, kAll };
  static void RemoveStale(const char* directory, Thoroughness thoroughness);

 private:
  // At `place`, or where the kernel likes (nullptr).
  Errno MakeSealed(uint64_t bytes, void* place);
  Errno AnnounceIn(const char* directory);
  Errno WriteAnnouncement(int file);

  void* memory_ = nullptr;
  uint64_t bytes_ = 0;
  int descriptor_ = -1;  // of the memory
  void* lock_mapping_ = nullptr;
  uint64_t announcement_device_ = 0;
  uint64_t announcement_inode_ = 0;
  int process_ = 0;  // that made the announcement
  char path_[PATH_MAX] = {};  // of the announcement
  std::atomic<bool> announced_{false};
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PUBLISHED_PAGE_H_
