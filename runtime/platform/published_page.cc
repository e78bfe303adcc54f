#include "runtime/platform/published_page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <string_view>

#include "runtime/base/sync_point.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/kernel_abi.h"
#include "runtime/platform/process_stat.h"

namespace userpager {
namespace {

constexpr unsigned kMostRemovedSparingly = 64;

void* MapShared(int file, uint64_t bytes, int access, void* place = nullptr) {
  const int flags = place == nullptr ? MAP_SHARED : MAP_SHARED | MAP_FIXED;
  void* got = mmap(place, bytes, access, flags, file, 0);
  if (got == MAP_FAILED) return nullptr;
  (void)madvise(got, bytes, MADV_DONTDUMP);
  if (madvise(got, bytes, MADV_DONTFORK) == 0) return got;
  const int error = errno;
  munmap(got, bytes);
  errno = error;
  return nullptr;
}

// The process that the name of an announcement names; 0: it is none.
int ProcessOfName(std::string_view name) {
  const std::string_view prefix = PublishedPage::kNamePrefix;
  if (name.substr(0, prefix.size()) != prefix) return 0;
  name.remove_prefix(prefix.size());
  int process = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), process);
  const bool whole = parsed.ec == std::errc() && parsed.ptr < name.data() + name.size() &&
                     *parsed.ptr == '-';
  return whole && process > 0 ? process : 0;
}

// Whether it is an announcement, of whatever version.
bool IsAnnouncement(int file) {
  struct stat status;
  uint64_t magic = 0;
  return fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
         pread(file, &magic, sizeof magic, 0) == static_cast<ssize_t>(sizeof magic) &&
         magic == Announcement::kMagic;
}

// Nobody holds the lock of an announcement whose process has ended, and nobody gets it again.
void RemoveIfStale(int directory, const char* name) {
  const int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return;
  if (IsAnnouncement(file) && flock(file, LOCK_SH | LOCK_NB) == 0) unlinkat(directory, name, 0);
  close(file);
}

bool IsSeenToBeGone(int process) {
  return process == getpid() || (kill(process, 0) != 0 && errno == ESRCH);
}

}  // namespace

PublishedPage::~PublishedPage() {
  Withdraw();
  if (lock_mapping_ != nullptr) munmap(lock_mapping_, sizeof(Announcement));
  if (memory_ != nullptr) munmap(memory_, bytes_);
  Descriptors::Close(descriptor_);
}

bool PublishedPage::Make(uint64_t bytes, bool for_others, LogLine* why) {
  bytes_ = RoundUp(bytes, kPageBytes);
  if (for_others) {
    const Errno failed = MakeSealed(bytes_, nullptr);
    if (failed == 0) return true;
    *why << "memory for the statistics page could not be made (memfd_create): "
         << ErrnoText{failed};
  }
  void* got = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) return false;
  memory_ = got;
  return true;
}

Errno PublishedPage::MakeSealed(uint64_t bytes, void* place) {
  const int made = memfd_create("userpager-statistics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (made < 0) return errno;
  void* got = nullptr;
  const auto complete = [&] {
    if (fchmod(made, 0600) != 0 || ftruncate(made, static_cast<off_t>(bytes)) != 0) return false;
    got = MapShared(made, bytes, PROT_READ | PROT_WRITE, place);
    return got != nullptr &&
           fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE |
                                        F_SEAL_SEAL) == 0;
  };
  if (complete()) {
    memory_ = got;
    descriptor_ = Descriptors::Keep(made);
    return 0;
  }
  const Errno failed = errno;
  if (got != nullptr) munmap(got, bytes);
  close(made);
  return failed;
}

Errno PublishedPage::Announce(LogLine* error) {
  Errno failed = AnnounceIn(kDirectory);
  const char* other = secure_getenv("XDG_RUNTIME_DIR");
  if (failed != 0 && other != nullptr && *other == '/') failed = AnnounceIn(other);
  if (failed == 0) return 0;
  *error << "the statistics page cannot be announced in " << kDirectory
         << (other == nullptr ? ", and XDG_RUNTIME_DIR names no other directory: "
                              : " or in XDG_RUNTIME_DIR: ")
         << ErrnoText{failed} << "; userpager stat, top and limit will not find this process "
                                 "(the option stats_page:off says that they need not)";
  return failed;
}

Errno PublishedPage::AnnounceIn(const char* directory) {
  RemoveStale(directory, Thoroughness::kSparingly);
  const int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  LogLine path;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  process_ = getpid();
  path << directory << "/" << kNamePrefix << process_ << "-"
       << static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  LogLine own;
  own << "/proc/self/fd/" << file;
  Errno failed = WriteAnnouncement(file);
  if (failed == 0 && flock(file, LOCK_EX | LOCK_NB) != 0) failed = errno;
  if (failed == 0) {
    lock_mapping_ = MapShared(file, sizeof(Announcement), PROT_READ);
    if (lock_mapping_ == nullptr) failed = errno;
  }
  // Before anybody can see it: another thread may end the process as soon as it does.
  strncpy(path_, path.c_str(), sizeof path_ - 1);
  announced_ = failed == 0;
  USERPAGER_SYNC_POINT("published:to_be_linked", 0);
  if (failed == 0 &&
      linkat(AT_FDCWD, own.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    failed = errno;
    announced_ = false;
    munmap(lock_mapping_, sizeof(Announcement));
    lock_mapping_ = nullptr;
  }
  USERPAGER_SYNC_POINT("published:linked", 0);
  close(file);
  // Withdrawn meanwhile, perhaps before it was there.
  if (failed == 0 && !announced_.load()) unlink(path_);
  return failed;
}

Errno PublishedPage::WriteAnnouncement(int file) {
  struct stat page;
  struct stat own;
  if (fchmod(file, 0600) != 0 || fstat(descriptor_, &page) != 0 || fstat(file, &own) != 0) {
    return errno;
  }
  ProcessStat process;
  if (const Errno failed = ReadProcessStat(process_, &process); failed != 0) return failed;
  Announcement announcement;
  announcement.magic = Announcement::kMagic;
  announcement.version = Announcement::kVersion;
  announcement.process = process_;
  announcement.start_ticks = process.start_ticks;
  announcement.page_device = page.st_dev;
  announcement.page_inode = page.st_ino;
  announcement.page_descriptor = descriptor_;
  announcement_device_ = own.st_dev;
  announcement_inode_ = own.st_ino;
  const ssize_t written = pwrite(file, &announcement, sizeof announcement, 0);
  if (written == static_cast<ssize_t>(sizeof announcement)) return 0;
  return written < 0 ? errno : ENOSPC;
}

void PublishedPage::Withdraw() {
  if (getpid() == process_ && announced_.exchange(false)) unlink(path_);
}

void PublishedPage::ForgetInChild() {
  if (memory_ == nullptr) return;
  void* got = mmap(memory_, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (got == MAP_FAILED) _exit(126);
  lock_mapping_ = nullptr;
}

void PublishedPage::RemakeInChild() {
  const bool for_others = descriptor_ >= 0;
  descriptor_ = -1;
  announced_ = false;
  if (for_others && MakeSealed(bytes_, memory_) != 0) ForgetInChild();
}

bool PublishedPage::ReadAnnouncement(Announcement* found) const {
  const int file = open(path_, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return false;
  struct stat status;
  const bool ours = fstat(file, &status) == 0 && status.st_dev == announcement_device_ &&
                    status.st_ino == announcement_inode_;
  const ssize_t got = ours ? pread(file, found, sizeof *found, 0) : -1;
  close(file);
  return got == static_cast<ssize_t>(sizeof *found) && found->IsReadable();
}

void PublishedPage::AwaitWake(std::atomic<uint32_t>& word, int milliseconds) {
  const timespec most{milliseconds / 1000, (milliseconds % 1000) * 1'000'000};
  syscall(SYS_futex, &word, FUTEX_WAIT, 0, milliseconds < 0 ? nullptr : &most, nullptr, 0);
}

void PublishedPage::Wake(const std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void PublishedPage::RemoveStale(const char* directory, Thoroughness thoroughness) {
  const int opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  alignas(dirent64) char entries[4096];
  unsigned left = thoroughness == Thoroughness::kAll ? UINT_MAX : kMostRemovedSparingly;
  for (ssize_t got; left > 0 && (got = getdents64(opened, entries, sizeof entries)) > 0;) {
    for (ssize_t at = 0; at < got && left > 0;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      const int process = ProcessOfName(entry->d_name);
      if (process == 0) continue;
      if (thoroughness == Thoroughness::kSparingly && !IsSeenToBeGone(process)) continue;
      RemoveIfStale(opened, entry->d_name);
      --left;
    }
  }
  close(opened);
}

}  // namespace userpager
