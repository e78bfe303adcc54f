// BackingFile: the file or block device under the page file: opened so that nothing of the user's
// is ever overwritten and no two processes share it, and given disk space.
//
// What it may use:  a directory (an unnamed file, gone with the process); a regular file that is
//                   empty or begins with this library's header; a block device that
//                   is not in use and begins with the header or with 1 MiB of zeros.
// Not thread-safe:  PageFile serialises.
#ifndef USERPAGER_PAGE_FILE_BACKING_FILE_H_
#define USERPAGER_PAGE_FILE_BACKING_FILE_H_

#include <linux/limits.h>

#include <cstdint>
#include <string_view>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"

namespace userpager {

class BackingFile {
 public:
  // The header takes the first page.
  static constexpr uint64_t kHeaderBytes = kPageBytes;

  BackingFile() = default;
  ~BackingFile();
  BackingFile(const BackingFile&) = delete;
  BackingFile& operator=(const BackingFile&) = delete;

  // Opens, locks and checks; writes the header. A device holds at least `least_bytes`. On failure
  // `error` gets one line, and what was there before is as it was (the contents of an earlier page
  // file, which mean nothing without its process, may be gone).
  Errno Open(std::string_view path, uint64_t least_bytes, LogLine* error);
  // Takes back what Open has done, for a caller whose next step failed.
  void Abandon();

  // After Open: remembers the directory, so that forked children can have files of their own in it
  // whatever becomes of the path and of their rights to it. Not of a block device.
  void KeepDirectory();
  bool has_directory() const { return directory_ >= 0; }
  // In a forked child: gives the parent's descriptor up, which is the caller's now.
  int Detach();
  // After that: opens an unnamed file in the directory, empty and without a header. As the
  // parent's, with O_DIRECT or without.
  Errno OpenInChild(LogLine* error);

  int descriptor() const { return descriptor_; }
  bool direct() const { return direct_; }
  // What a block device holds; UINT64_MAX for a file.
  uint64_t device_bytes() const { return device_bytes_; }

  // Gives disk space to the bytes [from, to); `from` is at least kHeaderBytes. On failure the file
  // ends at `from` again. ENOSPC: no room, over quota, or over a limit of file sizes.
  Errno Allocate(uint64_t from_bytes, uint64_t to_bytes);
  // Gives the disk space of the bytes [from, to) back; they mean nothing any more. EOPNOTSUPP: the
  // file system or the device cannot, and nothing has changed. After any other failure some of them
  // may be without disk space.
  Errno GiveBack(uint64_t from_bytes, uint64_t to_bytes);
  // Gives bytes within the file disk space that may have none. On failure some of them may be
  // without. Errors as Allocate.
  Errno TakeBack(uint64_t from_bytes, uint64_t to_bytes);

  // Writes the reason why the path cannot be used, and what to do, into `error`. Returns `code`.
  Errno Explain(Errno code, LogLine* error) const;

 private:
  enum class Kind : uint8_t { kUnnamed, kFile, kDevice };

  void Name(LogLine* error) const;
  Errno Refuse(Errno code, std::string_view why, std::string_view advice, LogLine* error) const;
  Errno OpenByKind(uint64_t least_bytes, LogLine* error);
  Errno OpenUnnamed(int at, const char* directory);
  Errno OpenThenUnlink(int at, const char* directory);
  Errno OpenFile(LogLine* error);
  Errno OpenDevice(uint64_t least_bytes, LogLine* error);
  Errno OpenMaybeDirect(int at, const char* path, int flags);
  Errno LockForUs(LogLine* error);
  Errno CheckFirstPage(LogLine* error);
  Errno CheckDeviceIsBlank(LogLine* error);
  Errno WriteHeader();
  Errno Fill(uint64_t from_bytes, uint64_t to_bytes);
  Errno WriteZeros(uint64_t from_bytes, uint64_t to_bytes);
  void Close();

  char path_[PATH_MAX] = {};
  int descriptor_ = -1;
  int directory_ = -1;
  Kind kind_ = Kind::kUnnamed;
  bool direct_ = false;
  bool may_be_direct_ = true;
  bool had_header_ = false;  // was a page file of this library before
  uint64_t device_bytes_ = UINT64_MAX;
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_BACKING_FILE_H_
