#include "runtime/page_file/backing_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/arena.h"
#include "runtime/base/clock.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"

namespace userpager {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr unsigned kNameTries = 100;
constexpr size_t kShownPath = 400;
constexpr size_t kCopyBytes = 256 * 1024;
// A device that begins with so many zeros has no file system, partition table or volume on it (the
// one that leaves most room in front of its first byte, btrfs, leaves 64 KiB).
constexpr uint64_t kBlankBytes = 1024 * 1024;

// A page of memory that direct I/O can use.
struct alignas(kPageBytes) Page {
  char bytes[kPageBytes];
};

struct Header {
  char magic[24];
  uint32_t version;
  uint32_t page_bytes;
};
constexpr Header kHeader = {"userpager page file\n", 1, kPageBytes};

// The whole first page is compared, not the magic alone: a file system that was made over an old
// page file may have left the magic where it was.
Page HeaderPage() {
  Page page{};
  memcpy(page.bytes, &kHeader, sizeof kHeader);
  return page;
}

// Reads one page. Returns its bytes: fewer than a page only at the end of the file; or -errno.
int64_t ReadPage(int descriptor, uint64_t offset_bytes, Page* page) {
  for (;;) {
    const ssize_t got =
        USERPAGER_CALL(kReadFile, pread(descriptor, page->bytes, sizeof page->bytes,
                                        static_cast<off_t>(offset_bytes)));
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

Errno WriteFully(int descriptor, const char* data, uint64_t bytes, uint64_t offset_bytes) {
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t put =
        USERPAGER_CALL(kWriteFile, pwrite(descriptor, data + done, bytes - done,
                                          static_cast<off_t>(offset_bytes + done)));
    if (put < 0 && errno != EINTR) return errno;
    if (put > 0) done += static_cast<uint64_t>(put);
  }
  return 0;
}

Errno NoRoomOr(Errno error) {
  return error == EDQUOT || error == EFBIG ? ENOSPC : error;
}

// Writing past the limit of file sizes would send the program a SIGXFSZ.
bool IsOverFileSizeLimit(uint64_t bytes) {
  rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         bytes > limit.rlim_cur;
}

}  // namespace

BackingFile::~BackingFile() {
  Close();
  Descriptors::Close(directory_);
}

void BackingFile::Close() {
  Descriptors::Close(descriptor_);
  descriptor_ = -1;
}

// Begins a line with the path, which may not push the reason off its end.
void BackingFile::Name(LogLine* error) const {
  const std::string_view path(path_);
  *error << "page file " << path.substr(0, kShownPath)
         << (path.size() > kShownPath ? "...: " : ": ");
}

Errno BackingFile::Refuse(Errno code, std::string_view why, std::string_view advice,
                          LogLine* error) const {
  Name(error);
  *error << why << "; " << advice;
  return code;
}

Errno BackingFile::Explain(Errno code, LogLine* error) const {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      return Refuse(code, "it does not exist",
                    "make the directory (or, for a page file of that name, an empty file), or name "
                    "another place with the option page_file", error);
    case EACCES:
    case EPERM:
      return Refuse(code, "no permission to read and write there",
                    "name a place that this user may write to with the option page_file", error);
    case EROFS:
      return Refuse(code, "its file system is mounted read-only",
                    "name a place on another file system with the option page_file", error);
    case ENOSPC:
      return Refuse(code, "no room on its file system, quota or file size limit",
                    "free some disk space, or name a place with more with the option page_file",
                    error);
    default:
      Name(error);
      *error << "cannot be used: " << ErrnoText{code}
             << "; name a directory, file or block device that this user may write to with the "
                "option page_file";
      return code;
  }
}

Errno BackingFile::Open(std::string_view path, uint64_t least_bytes, LogLine* error) {
  const size_t length = std::min(path.size(), sizeof path_ - 1);
  memcpy(path_, path.data(), length);
  path_[length] = '\0';
  if (path.size() >= sizeof path_) return Explain(ENAMETOOLONG, error);
  if (path.empty()) {
    return Refuse(EINVAL, "no path is given", "name a directory with the option page_file", error);
  }
  if (const Errno failed = OpenByKind(least_bytes, error); failed != 0) {
    Close();
    return failed;
  }
  const Errno failed = WriteHeader();
  if (failed != 0) {
    Abandon();
    return Explain(failed, error);
  }
  return 0;
}

Errno BackingFile::OpenByKind(uint64_t least_bytes, LogLine* error) {
  struct stat status;
  // What does not exist is not made: a mistyped directory would become a file.
  if (USERPAGER_CALL(kLook, stat(path_, &status)) != 0) return Explain(errno, error);
  if (S_ISDIR(status.st_mode)) {
    const Errno failed = OpenUnnamed(AT_FDCWD, path_);
    return failed == 0 ? 0 : Explain(failed, error);
  }
  if (S_ISREG(status.st_mode)) return OpenFile(error);
  if (S_ISBLK(status.st_mode)) return OpenDevice(least_bytes, error);
  return Refuse(EINVAL, "it is neither a directory, nor a file, nor a block device",
                "name one of these with the option page_file", error);
}

// Opens with O_DIRECT where the file system has it.
Errno BackingFile::OpenMaybeDirect(int at, const char* path, int flags) {
  flags |= O_RDWR | O_CLOEXEC;
  const int direct = may_be_direct_ ? O_DIRECT : 0;
  descriptor_ = USERPAGER_CALL(kOpen, openat(at, path, flags | direct, kOwnerOnly));
  direct_ = may_be_direct_ && descriptor_ >= 0;
  if (descriptor_ < 0 && errno == EINVAL && may_be_direct_) {
    // An exclusive creation may have made the file before the file system refused O_DIRECT.
    if ((flags & O_CREAT) != 0) unlinkat(at, path, 0);
    descriptor_ = USERPAGER_CALL(kOpen, openat(at, path, flags, kOwnerOnly));
  }
  descriptor_ = Descriptors::Keep(descriptor_);
  return descriptor_ >= 0 ? 0 : errno;
}

Errno BackingFile::OpenUnnamed(int at, const char* directory) {
  kind_ = Kind::kUnnamed;
  const Errno failed = OpenMaybeDirect(at, directory, O_TMPFILE | O_EXCL);
  // How file systems without unnamed files say so; old kernels take the flag for a plain directory.
  const bool unknown = failed == EOPNOTSUPP || failed == EISDIR || failed == EINVAL;
  return unknown ? OpenThenUnlink(at, directory) : failed;
}

Errno BackingFile::OpenThenUnlink(int at, const char* directory) {
  for (unsigned i = 0; i < kNameTries; ++i) {
    LogLine name;
    name << directory << "/userpager-" << getpid() << "-" << NowNanoseconds();
    if (name.text().size() == LogLine::kCapacity) return ENAMETOOLONG;
    const Errno failed = OpenMaybeDirect(at, name.c_str(), O_CREAT | O_EXCL);
    if (failed == EEXIST) continue;
    if (failed != 0) return failed;
    return unlinkat(at, name.c_str(), 0) == 0 ? 0 : errno;
  }
  return EEXIST;
}

void BackingFile::KeepDirectory() {
  char path[PATH_MAX];
  memcpy(path, path_, sizeof path);
  if (kind_ == Kind::kDevice) return;
  char* const slash = strrchr(path, '/');
  if (kind_ == Kind::kFile && slash == nullptr) memcpy(path, ".", 2);
  if (kind_ == Kind::kFile && slash != nullptr) slash[slash == path ? 1 : 0] = '\0';
  directory_ = Descriptors::KeepInChildren(
      Descriptors::Keep(USERPAGER_CALL(kOpen, open(path, O_PATH | O_DIRECTORY | O_CLOEXEC))));
}

int BackingFile::Detach() {
  const int given = descriptor_;
  descriptor_ = -1;
  return given;
}

Errno BackingFile::OpenInChild(LogLine* error) {
  may_be_direct_ = direct_;
  const Errno failed = directory_ < 0 ? ENOTSUP : OpenUnnamed(directory_, ".");
  if (failed != 0) {
    *error << "a page file of its own cannot be made beside its parent's, " << path_ << ": "
           << ErrnoText{failed};
  }
  (void)Descriptors::KeepInChildren(descriptor_);
  return failed;
}

Errno BackingFile::OpenFile(LogLine* error) {
  kind_ = Kind::kFile;
  Errno failed = OpenMaybeDirect(AT_FDCWD, path_, 0);
  if (failed != 0) return Explain(failed, error);
  if (failed = LockForUs(error); failed != 0) return failed;
  if (failed = CheckFirstPage(error); failed != 0) return failed;
  // Pages of a program's memory are nobody else's to read.
  if (USERPAGER_CALL(kLook, fchmod(descriptor_, kOwnerOnly)) != 0) return Explain(errno, error);
  // What an earlier process left has no meaning any more.
  if (had_header_ && USERPAGER_CALL(kTruncate, ftruncate(descriptor_, kHeaderBytes)) != 0) {
    return Explain(errno, error);
  }
  return 0;
}

Errno BackingFile::OpenDevice(uint64_t least_bytes, LogLine* error) {
  kind_ = Kind::kDevice;
  // O_EXCL without O_CREAT on a block device: not while it is mounted or part of another device.
  const Errno failed = OpenMaybeDirect(AT_FDCWD, path_, O_EXCL);
  if (failed == EBUSY) {
    return Refuse(EBUSY, "the device is mounted or in use",
                  "unmount it, or name another with the option page_file", error);
  }
  if (failed != 0) return Explain(failed, error);
  if (ioctl(descriptor_, BLKGETSIZE64, &device_bytes_) != 0) return Explain(errno, error);
  if (device_bytes_ < least_bytes) {
    Name(error);
    *error << "the device has only " << device_bytes_ << " bytes; name one of at least "
           << least_bytes << " with the option page_file";
    return ENOSPC;
  }
  if (const Errno busy = LockForUs(error); busy != 0) return busy;
  return CheckFirstPage(error);
}

Errno BackingFile::LockForUs(LogLine* error) {
  if (USERPAGER_CALL(kLook, flock(descriptor_, LOCK_EX | LOCK_NB)) == 0) return 0;
  if (errno != EWOULDBLOCK) return Explain(errno, error);
  return Refuse(EBUSY, "it is in use by another process",
                "end that process, or name another place with the option page_file", error);
}

// Only what is known to be free for use passes.
Errno BackingFile::CheckFirstPage(LogLine* error) {
  Page first{};
  const int64_t got = ReadPage(descriptor_, 0, &first);
  if (got < 0) return Explain(static_cast<Errno>(-got), error);
  struct stat status;
  if (USERPAGER_CALL(kLook, fstat(descriptor_, &status)) != 0) return Explain(errno, error);
  if (kind_ == Kind::kFile && S_ISREG(status.st_mode) && status.st_size == 0) return 0;
  const Page ours = HeaderPage();
  if (memcmp(&first, &ours, sizeof ours) == 0) {
    had_header_ = true;
    return 0;
  }
  if (memcmp(&first, kHeader.magic, sizeof kHeader.magic) == 0) {
    return Refuse(EEXIST, "it was made by another version of userpager",
                  "remove or clear it if no program of that version uses it", error);
  }
  if (kind_ == Kind::kDevice) return CheckDeviceIsBlank(error);
  return Refuse(EEXIST, "it exists, is not a page file of userpager, and is not overwritten",
                "name an empty file, or a directory, with the option page_file", error);
}

Errno BackingFile::CheckDeviceIsBlank(LogLine* error) {
  const Page zeros{};
  Page page;
  for (uint64_t at = 0; at < std::min(kBlankBytes, device_bytes_); at += kPageBytes) {
    const int64_t got = ReadPage(descriptor_, at, &page);
    if (got < 0) return Explain(static_cast<Errno>(-got), error);
    if (memcmp(page.bytes, zeros.bytes, static_cast<size_t>(got)) == 0) continue;
    Name(error);
    *error << "the device has something else on it and is not overwritten; if nothing on it is "
              "needed any more, clear it with: dd if=/dev/zero of="
           << path_ << " bs=1M count=1";
    return EEXIST;
  }
  return 0;
}

// The first write also shows whether the file can be written in direct pages of 4 KiB at all.
Errno BackingFile::WriteHeader() {
  if (IsOverFileSizeLimit(kHeaderBytes) && kind_ != Kind::kDevice) return ENOSPC;
  const Page page = HeaderPage();
  Errno failed = WriteFully(descriptor_, page.bytes, sizeof page.bytes, 0);
  if (failed == EINVAL && direct_) {
    const int flags = fcntl(descriptor_, F_GETFL);
    if (flags < 0 || fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT) != 0) return errno;
    direct_ = false;
    failed = WriteFully(descriptor_, page.bytes, sizeof page.bytes, 0);
  }
  return NoRoomOr(failed);
}

void BackingFile::Abandon() {
  if (kind_ == Kind::kFile) {
    // Where this fails too, what stays is a page file that the next Open takes.
    (void)!ftruncate(descriptor_, had_header_ ? kHeaderBytes : 0);
  }
  if (kind_ == Kind::kDevice && !had_header_) {
    const Page zeros{};
    (void)WriteFully(descriptor_, zeros.bytes, sizeof zeros.bytes, 0);
  }
  Close();
}

Errno BackingFile::Allocate(uint64_t from_bytes, uint64_t to_bytes) {
  if (kind_ == Kind::kDevice) return to_bytes <= device_bytes_ ? 0 : ENOSPC;
  if (IsOverFileSizeLimit(to_bytes)) return ENOSPC;
  const Errno failed = Fill(from_bytes, to_bytes);
  if (failed == 0) return 0;
  // What was allocated before the failure is given back; where even that fails it is still ours to
  // allocate again.
  (void)!ftruncate(descriptor_, static_cast<off_t>(from_bytes));
  return NoRoomOr(failed);
}

Errno BackingFile::TakeBack(uint64_t from_bytes, uint64_t to_bytes) {
  if (kind_ == Kind::kDevice) return 0;
  if (IsOverFileSizeLimit(to_bytes)) return ENOSPC;
  return NoRoomOr(Fill(from_bytes, to_bytes));
}

Errno BackingFile::GiveBack(uint64_t from_bytes, uint64_t to_bytes) {
  uint64_t range[] = {from_bytes, to_bytes - from_bytes};
  Errno failed;
  do {
    const int result =
        kind_ == Kind::kDevice
            ? USERPAGER_CALL(kPunch, ioctl(descriptor_, BLKDISCARD, range))
            : USERPAGER_CALL(kPunch, fallocate(descriptor_,
                                               FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                               static_cast<off_t>(range[0]),
                                               static_cast<off_t>(range[1])));
    failed = result == 0 ? 0 : errno;
  } while (failed == EINTR);
  return failed;
}

Errno BackingFile::Fill(uint64_t from_bytes, uint64_t to_bytes) {
  Errno failed;
  do {
    const int result =
        USERPAGER_CALL(kGrow, fallocate(descriptor_, 0, static_cast<off_t>(from_bytes),
                                        static_cast<off_t>(to_bytes - from_bytes)));
    failed = result == 0 ? 0 : errno;
  } while (failed == EINTR);
  return failed == EOPNOTSUPP ? WriteZeros(from_bytes, to_bytes) : failed;
}

// For file systems that cannot allocate without writing.
Errno BackingFile::WriteZeros(uint64_t from_bytes, uint64_t to_bytes) {
  ArenaArray<char> zeros(kCopyBytes);
  if (!zeros.ok()) return ENOMEM;
  Errno failed = 0;
  for (uint64_t at = from_bytes; at < to_bytes && failed == 0; at += kCopyBytes) {
    failed = WriteFully(descriptor_, zeros.data(), std::min<uint64_t>(kCopyBytes, to_bytes - at),
                        at);
  }
  // A write to the page cache may find out only later that the disk is full.
  if (failed == 0 && !direct_ && fdatasync(descriptor_) != 0) failed = errno;
  return failed;
}

}  // namespace userpager
