#include "runtime/platform/linux_page_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/sync_point.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/kernel_abi.h"

namespace userpager {
namespace {

// The source of CopyZeros: a readable mapping that nobody writes, so that it costs page-table
// entries alone. CopyZeros of more pages goes in steps.
constexpr uint64_t kZerosPages = 512;

constexpr uint64_t kWantedFeatures = kernel_abi::kFeatureWriteProtect |
                                     kernel_abi::kFeatureThreadId |
                                     kernel_abi::kFeatureExactAddress;

uffdio_range ToKernel(PageRange range) {
  return uffdio_range{AddressOf(range.begin), BytesOf(range.count())};
}

// The count that COPY and MOVE report comes first: so many pages are done at least, whatever the
// call returned, and the errno of the page where it stopped shows itself when that page is tried
// again.
RunResult Progress(int returned, int error, int64_t bytes, PageCount asked) {
  if (returned == 0) return {asked, 0};
  if (bytes > 0) return {PageCount(static_cast<uint64_t>(bytes) >> kPageShift), EAGAIN};
  return {PageCount(0), bytes < 0 ? static_cast<Errno>(-bytes) : error};
}

}  // namespace

LinuxPagePlatform::~LinuxPagePlatform() {
  for (const int fd : {descriptor_, own_process_, pagemap_}) {
    Descriptors::Close(fd);
  }
  if (zeros_ != nullptr) munmap(const_cast<void*>(zeros_), kZerosPages * kPageBytes);
}

Errno LinuxPagePlatform::Open(const PlatformFeatures& features, LogLine* error,
                              FaultDelivery delivery) {
  features_ = features;
  signals_ = delivery == FaultDelivery::kSignals;
  bool kernel_faults = false;
  descriptor_ = Descriptors::Keep(OpenUserfaultfd(&kernel_faults, error));
  if (descriptor_ < 0) return -descriptor_;
  if (features.kernel_faults && !kernel_faults) {
    *error << "cannot answer the page faults of system calls any more, as the process has given up "
              "the right to";
    return EPERM;
  }
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kWantedFeatures;
  if (!features.thread_id) api.features &= ~kernel_abi::kFeatureThreadId;
  if (!features.exact_address) api.features &= ~kernel_abi::kFeatureExactAddress;
  if (signals_) api.features |= kernel_abi::kFeatureSignal;
  if (USERPAGER_CALL(kHandshake, ioctl(descriptor_, UFFDIO_API, &api)) != 0) {
    const Errno reason = errno;
    *error << "cannot answer page faults: the userfaultfd handshake failed: " << ErrnoText{reason};
    return reason;
  }
  if (const Errno failed = MapZeros(error); failed != 0) return failed;
  if (features_.discard_vector) {
    own_process_ = Descriptors::Keep(
        static_cast<int>(USERPAGER_CALL(kDescriptor, syscall(SYS_pidfd_open, getpid(), 0))));
    features_.discard_vector = own_process_ >= 0;
  }
  backlog_.Open(descriptor_);
  pagemap_ = Descriptors::Keep(
      USERPAGER_CALL(kOpen, open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)));
  return 0;
}

Errno LinuxPagePlatform::MapZeros(LogLine* error) {
  if (zeros_ != nullptr) return 0;
  void* zeros =
      USERPAGER_CALL(kMap, mmap(nullptr, kZerosPages * kPageBytes, PROT_READ,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (zeros == MAP_FAILED) {
    const Errno reason = errno;
    *error << "cannot start: no address space for the pager's own use: " << ErrnoText{reason};
    return reason;
  }
  madvise(zeros, kZerosPages * kPageBytes, MADV_NOHUGEPAGE);
  zeros_ = zeros;
  return 0;
}

void LinuxPagePlatform::ForgetInChild() {
  descriptor_ = own_process_ = pagemap_ = -1;
  backlog_.Forget();
}

size_t LinuxPagePlatform::FindPresent(PageRange range, std::span<PageRange> runs,
                                      PageIndex* next) const {
  constexpr size_t kMost = 64;
  kernel_abi::PageRegion regions[kMost];
  kernel_abi::PagemapScan request{};
  request.size = sizeof request;
  request.start = AddressOf(range.begin);
  request.end = AddressOf(range.end);
  request.vec = reinterpret_cast<uint64_t>(regions);
  request.vec_len = std::min(kMost, runs.size());
  request.category_mask = kernel_abi::kPageIsPresent;
  request.return_mask = kernel_abi::kPageIsPresent;
  const int found = ioctl(pagemap_, kernel_abi::kPagemapScan, &request);
  if (found < 0) return FindPresentOneByOne(range, runs, next);
  for (int i = 0; i < found; ++i) {
    runs[static_cast<size_t>(i)] = PageRange(PageOf(regions[i].start), PageOf(regions[i].end));
  }
  *next = PageOf(request.walk_end);
  return static_cast<size_t>(found);
}

// Before 6.7.
size_t LinuxPagePlatform::FindPresentOneByOne(PageRange range, std::span<PageRange> runs,
                                              PageIndex* next) const {
  uint64_t entries[256];
  const uint64_t count = std::min<uint64_t>(range.count().value(), std::size(entries));
  const ssize_t got = pread(pagemap_, entries, count * sizeof entries[0],
                            static_cast<off_t>(range.begin.value() * sizeof entries[0]));
  const uint64_t known = got < 0 ? 0 : static_cast<uint64_t>(got) / sizeof entries[0];
  *next = known == 0 ? range.end : range.begin + PageCount(known);
  size_t found = 0;
  for (uint64_t i = 0; i < known; ++i) {
    if (entries[i] >> 63 == 0) continue;
    const PageIndex page = range.begin + PageCount(i);
    if (found > 0 && runs[found - 1].end == page) {
      ++runs[found - 1].end;
    } else if (found == runs.size()) {
      *next = page;
      break;
    } else {
      runs[found++] = PageRange(page, PageCount(1));
    }
  }
  return found;
}

bool LinuxPagePlatform::Decode(const uffd_msg& raw, FaultMessage* message) {
  if (raw.event != UFFD_EVENT_PAGEFAULT) return false;
  message->address = raw.arg.pagefault.address;
  message->thread_id = raw.arg.pagefault.feat.ptid;
  message->write_protect = (raw.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) != 0;
  message->write =
      message->write_protect || (raw.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
  return true;
}

Errno LinuxPagePlatform::Register(PageRange range) {
  uffdio_register request{};
  request.range = ToKernel(range);
  request.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;
  return USERPAGER_CALL(kRegister, ioctl(descriptor_, UFFDIO_REGISTER, &request)) == 0 ? 0 : errno;
}

RunResult LinuxPagePlatform::Copy(PageIndex to, const void* contents, PageCount count,
                                  InstallMode mode, WakeMode wake) {
  uffdio_copy request{};
  request.dst = AddressOf(to);
  request.src = reinterpret_cast<uint64_t>(contents);
  request.len = BytesOf(count);
  request.mode = (mode == InstallMode::kWriteProtected ? UFFDIO_COPY_MODE_WP : 0) |
                 (wakes_in_kernel(wake) ? 0 : UFFDIO_COPY_MODE_DONTWAKE);
  const int returned = USERPAGER_CALL(kCopy, ioctl(descriptor_, UFFDIO_COPY, &request));
  const RunResult result = Progress(returned, errno, request.copy, count);
  WakeWaiters(wake, to, result.done);
  return result;
}

RunResult LinuxPagePlatform::CopyZeros(PageIndex to, PageCount count, InstallMode mode,
                                       WakeMode wake) {
  PageCount done;
  while (done < count) {
    const PageCount step(std::min((count - done).value(), kZerosPages));
    const RunResult result = Copy(to + done, zeros_, step, mode, wake);
    done += result.done;
    if (result.error != 0) return {done, result.error};
  }
  return {done, 0};
}

// MOVE's count is not all that it moved: 6.18 goes over a page again that changed in between, and
// does not count what it moves then (mm/userfaultfd.c, move_pages, where the loop keeps EAGAIN). It
// meets that at the destination next, and ends. So where it ends early the pages themselves tell
// how far it came, all in one go: another call might be refused, as mprotect cuts mappings at any
// time.
RunResult LinuxPagePlatform::Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) {
  RunResult result{};
  bool uncounted = false;
  while (result.done < count && result.error == 0) {
    const RunResult step =
        MoveOnce(to + result.done, from + result.done, count - result.done, wake);
    result.done += step.done;
    if (step.done.value() > 0) continue;
    const PageCount before = result.done;
    while (result.done < count &&
           HasMoved(to + result.done, from + result.done,
                    step.error == EEXIST && result.done == before)) {
      ++result.done;
    }
    if (result.done > before) {
      uncounted = true;
      USERPAGER_SYNC_POINT("move:uncounted", AddressOf(from));
    } else {
      result.error = step.error;
    }
  }
  if (uncounted && wake == WakeMode::kWake) {
    Wake(PageRange(to, result.done));
  } else {
    WakeWaiters(wake, to, result.done);
  }
  return result;
}

// Nothing was at the destination before. `is_taken`: the kernel says that something is there now.
bool LinuxPagePlatform::HasMoved(PageIndex to, PageIndex from, bool is_taken) const {
  const std::optional<bool> stayed = IsThere(from);
  if (is_taken) return !stayed.value_or(false);
  return !stayed.value_or(true) && IsThere(to).value_or(false);
}

RunResult LinuxPagePlatform::MoveOnce(PageIndex to, PageIndex from, PageCount count,
                                      WakeMode wake) {
  kernel_abi::UffdioMove request{};
  request.dst = AddressOf(to);
  request.src = AddressOf(from);
  request.len = BytesOf(count);
  request.mode = wakes_in_kernel(wake) ? 0 : kernel_abi::kMoveDontWake;
  const int returned =
      USERPAGER_CALL(kMove, ioctl(descriptor_, kernel_abi::kUffdioMove, &request));
  return Progress(returned, errno, request.move, count);
}

Errno LinuxPagePlatform::WriteProtect(PageRange range) {
  uffdio_writeprotect request{};
  request.range = ToKernel(range);
  request.mode = UFFDIO_WRITEPROTECT_MODE_WP;
  return ChangeProtection(request);
}

// Before 6.4 the call refuses a range of several mappings: then it goes page by page.
Errno LinuxPagePlatform::ChangeProtection(uffdio_writeprotect request) {
  if (features_.wide_protect || request.range.len == kPageBytes) {
    if (ioctl(descriptor_, UFFDIO_WRITEPROTECT, &request) == 0) return 0;
    const Errno error = errno;
    if ((error != ENOENT && error != EINVAL) || request.range.len == kPageBytes) return error;
  }
  const uint64_t end = request.range.start + request.range.len;
  request.range.len = kPageBytes;
  for (; request.range.start < end; request.range.start += kPageBytes) {
    if (ioctl(descriptor_, UFFDIO_WRITEPROTECT, &request) != 0) return errno;
  }
  return 0;
}

Errno LinuxPagePlatform::Unprotect(PageRange range, WakeMode wake) {
  uffdio_writeprotect request{};
  request.range = ToKernel(range);
  request.mode = wakes_in_kernel(wake) ? 0 : UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
  const Errno error = ChangeProtection(request);
  WakeWaiters(wake, range.begin, range.count());
  return error;
}

void LinuxPagePlatform::WakeWaiters(WakeMode wake, PageIndex begin, PageCount done) {
  if (signals_ && wake == WakeMode::kWake) waiters_.Wake(PageRange(begin, done));
}

void LinuxPagePlatform::Wake(PageRange range) {
  if (signals_) {
    waiters_.Wake(range);
    return;
  }
  uffdio_range request = ToKernel(range);
  const int failed = ioctl(descriptor_, UFFDIO_WAKE, &request);
  USERPAGER_CHECK(failed == 0, "the kernel refused to wake a range", request.start);
}

// The range of a wake need not be mapped.
void LinuxPagePlatform::WakeAll() {
  Wake(PageRange(PageIndex(kGranularityPages), kEndOfAddressSpace));
}

bool LinuxPagePlatform::CountWaiters(FaultCounts* counts) const {
  if (!backlog_.Read(counts)) return false;
  if (signals_) counts->all += waiters_.Joined();
  return true;
}

uint64_t LinuxPagePlatform::UnansweredWaiters() {
  if (signals_) return waiters_.Unanswered();
  FaultCounts counts;
  return backlog_.Read(&counts) ? counts.all - counts.unread : 0;
}

Errno LinuxPagePlatform::Poison(PageIndex page) {
  if (features_.poison) {
    kernel_abi::UffdioPoison request{};
    request.range = uffdio_range{AddressOf(page), kPageBytes};
    request.mode = kernel_abi::kPoisonDontWake;
    const int failed =
        USERPAGER_CALL(kPoison, ioctl(descriptor_, kernel_abi::kUffdioPoison, &request));
    return failed == 0 ? 0 : errno;
  }
  // Before 6.6: a page of an empty file raises SIGBUS as well.
  const int empty =
      USERPAGER_CALL(kDescriptor, memfd_create("userpager-lost-page", MFD_CLOEXEC));
  if (empty < 0) return errno;
  void* mapped = mmap(PointerTo(page), kPageBytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED, empty, 0);
  const Errno error = mapped == MAP_FAILED ? errno : 0;
  close(empty);
  return error;
}

Errno LinuxPagePlatform::Unpoison(PageIndex page) {
  if (features_.poison) return Discard(PageRange(page, PageCount(1)));
  // Inaccessible until it is registered, so that no touch gets a page that nobody charged.
  void* mapped = mmap(PointerTo(page), kPageBytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (mapped == MAP_FAILED) return errno;
  if (!ChildrenInherit()) (void)madvise(mapped, kPageBytes, MADV_DONTFORK);
  (void)madvise(mapped, kPageBytes, MADV_NOHUGEPAGE);
  const PageRange one(page, PageCount(1));
  const Errno error = Register(one);
  return error != 0 ? error : SetAccess(one, KernelAccess::kReadWrite);
}

Errno LinuxPagePlatform::Discard(PageRange range) {
  void* const begin = PointerTo(range.begin);
  const uint64_t bytes = BytesOf(range.count());
  if (madvise(begin, bytes, MADV_DONTNEED) == 0) return 0;
  // Pages that the program has locked by mlock are refused, but have a call of their own (5.18).
  if (errno == EINVAL && madvise(begin, bytes, kernel_abi::kMadvDontNeedLocked) == 0) return 0;
  if (errno != EINVAL || munlock(begin, bytes) != 0) return errno;
  return madvise(begin, bytes, MADV_DONTNEED) == 0 ? 0 : errno;
}

Errno LinuxPagePlatform::DiscardAll(std::span<const PageRange> ranges) {
  constexpr size_t kMost = 64;
  while (features_.discard_vector && ranges.size() > 1) {
    const size_t count = std::min(ranges.size(), kMost);
    iovec parts[kMost];
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      parts[i] = {PointerTo(ranges[i].begin), BytesOf(ranges[i].count())};
      bytes += parts[i].iov_len;
    }
    const long done =
        USERPAGER_CALL(kDiscardMany, syscall(SYS_process_madvise, own_process_, parts, count,
                                             MADV_DONTNEED, 0));
    // Discarding twice does no harm, so a short count is finished range by range.
    if (done != static_cast<long>(bytes)) break;
    ranges = ranges.subspan(count);
  }
  for (const PageRange range : ranges) {
    if (const Errno error = Discard(range); error != 0) return error;
  }
  return 0;
}

Errno LinuxPagePlatform::TouchForWriting(PageRange range) {
  const int failed = USERPAGER_CALL(
      kAdvise, madvise(PointerTo(range.begin), BytesOf(range.count()), MADV_POPULATE_WRITE));
  return failed == 0 ? 0 : errno;
}

Errno LinuxPagePlatform::SetAccess(PageRange range, KernelAccess access) {
  static constexpr int kAccess[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                    PROT_READ | PROT_WRITE | PROT_EXEC};
  const int failed =
      USERPAGER_CALL(kProtect, mprotect(PointerTo(range.begin), BytesOf(range.count()),
                                        kAccess[static_cast<unsigned>(access)]));
  return failed == 0 ? 0 : errno;
}

Errno LinuxPagePlatform::InstallGuard(PageIndex page) {
  const int failed = USERPAGER_CALL(
      kGuard, madvise(PointerTo(page), kPageBytes, kernel_abi::kMadvGuardInstall));
  return failed == 0 ? 0 : errno;
}

Errno LinuxPagePlatform::RemoveGuard(PageIndex page) {
  const int failed = USERPAGER_CALL(
      kGuard, madvise(PointerTo(page), kPageBytes, kernel_abi::kMadvGuardRemove));
  return failed == 0 ? 0 : errno;
}

bool LinuxPagePlatform::IsPresent(PageIndex page) { return InPagemap(page).value_or(true); }

// Documentation/admin-guide/mm/pagemap.rst: bit 63 is "page present", bit 62 "page swapped" (by the
// kernel, which is no business of ours). Nothing where it cannot be read.
std::optional<bool> LinuxPagePlatform::InPagemap(PageIndex page) const {
  uint64_t entry = 0;
  const auto offset = static_cast<off_t>(page.value() * sizeof entry);
  const ssize_t got = pread(pagemap_, &entry, sizeof entry, offset);
  if (got != sizeof entry) return std::nullopt;
  return (entry >> 62) != 0;
}

// Also where a process may not see its pagemap (one that is not dumpable, as after setuid). To
// mincore, what the kernel has swapped out may be absent.
std::optional<bool> LinuxPagePlatform::IsThere(PageIndex page) const {
  if (const std::optional<bool> known = InPagemap(page)) return known;
  unsigned char state = 0;
  if (mincore(PointerTo(page), kPageBytes, &state) != 0) return std::nullopt;
  return (state & 1) != 0;
}

}  // namespace userpager
