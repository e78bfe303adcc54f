// Marks a system call that a test can make fail. Built only where USERPAGER_SYNC_POINTS is defined
// (the library that the tests link); in the shipped library the call is the call.
//
//   runtime:  if (USERPAGER_CALL(kMprotect, mprotect(at, bytes, access)) != 0) return errno;
//   test:     CallFaults::FailNth(CallKind::kMprotect, 3, ENOMEM);
//
// Marked are the calls that the kernel may refuse for want of something. Those that only fail when
// the pager is wrong (a wake, a discard of what is its own) are checks.
#ifndef USERPAGER_BASE_SYSTEM_CALL_H_
#define USERPAGER_BASE_SYSTEM_CALL_H_

#ifdef USERPAGER_SYNC_POINTS

#include <cstdint>
#include <type_traits>

namespace userpager {

enum class CallKind : uint8_t {
  kNone,
  kMap,            // mmap
  kUnmap,          // munmap
  kProtect,        // mprotect
  kAdvise,         // madvise, where its success matters
  kDiscardMany,    // process_madvise
  kLockMemory,     // mlock
  kUserfaultfd,    // making one, by any road
  kHandshake,      // UFFDIO_API
  kRegister,       // UFFDIO_REGISTER
  kCopy,           // UFFDIO_COPY
  kMove,           // UFFDIO_MOVE
  kPoison,         // UFFDIO_POISON
  kGuard,          // MADV_GUARD_INSTALL, MADV_GUARD_REMOVE
  kOpen,           // open, of anything
  kDescriptor,     // eventfd, pidfd_open, memfd_create
  kThread,         // pthread_create
  kRing,           // io_uring_setup
  kGrow,           // fallocate, that gives disk space
  kPunch,          // the same, or BLKDISCARD, that takes it away
  kTruncate,       // ftruncate
  kLook,           // stat, fstat, flock, fchmod
  kReadFile,       // pread, at a start
  kWriteFile,      // pwrite, at a start
  kEnd,
};

class CallFaults {
 public:
  // The n-th call of the kind from now on (1: the next) fails once with the error, whatever thread
  // makes it.
  static void FailNth(CallKind kind, uint64_t n, int error);
  // No call fails any more. Whether one did.
  static bool Stop();
  // Of one call that is about to be made.
  static bool Fails(CallKind kind);

  template <typename Result>
  static Result Failed() {
    if constexpr (std::is_pointer_v<Result>) {
      return reinterpret_cast<Result>(-1);  // MAP_FAILED
    } else {
      return static_cast<Result>(-1);
    }
  }
};

}  // namespace userpager

// errno is set as the call would.
#define USERPAGER_CALL(kind, call)                                                 \
  (::userpager::CallFaults::Fails(::userpager::CallKind::kind)                     \
       ? ::userpager::CallFaults::Failed<std::remove_cvref_t<decltype(call)>>()    \
       : (call))
// Of a call that returns its error, as pthread_create does.
#define USERPAGER_CALL_OF_THREADS(kind, call) \
  (::userpager::CallFaults::Fails(::userpager::CallKind::kind) ? errno : (call))

#else

#define USERPAGER_CALL(kind, call) (call)
#define USERPAGER_CALL_OF_THREADS(kind, call) (call)

#endif

#endif  // USERPAGER_BASE_SYSTEM_CALL_H_
