#include "bench/support/disk_workload.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

#include "bench/support/access_times.h"
#include "bench/support/machine.h"
#include "bench/support/page_chooser.h"
#include "bench/support/page_pattern.h"
#include "bench/support/scratch_file.h"
#include "runtime/base/clock.h"
#include "runtime/platform/io_ring.h"

namespace userpager::bench {
namespace {

constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;
constexpr uint64_t kLargePages = 256;
constexpr unsigned kLargeDepth = 4;
constexpr unsigned kDepthMax = 8;

// In huge pages where the system gives them: a request has room for so many pieces of memory only,
// and scattered 4 KiB pages were seen to halve what the disk gives.
unsigned char* MakeBuffers(uint64_t bytes) {
  const uint64_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* const memory = aligned_alloc(kHugePageBytes, whole);
  if (memory == nullptr) Die("memory for the disk's own transfers", ENOMEM);
  if (madvise(memory, whole, MADV_HUGEPAGE) != 0 && errno != EINVAL) {
    Die("madvise(MADV_HUGEPAGE)", errno);
  }
  return static_cast<unsigned char*>(memory);
}

enum class Direction : uint8_t { kRead, kWrite };

// Transfers of one size, several under way.
class DiskStream {
 public:
  DiskStream(int fd, uint64_t pages_each, unsigned depth)
      : fd_(fd),
        pages_each_(pages_each),
        memory_(MakeBuffers(pages_each * depth * kPageBytes)),
        slots_(depth) {
    if (const Errno error = ring_.Open(); error != 0) Die("opening an io_uring", error);
    for (unsigned i = 0; i < depth; ++i) {
      slots_[i].part = {memory_ + i * pages_each * kPageBytes, pages_each * kPageBytes};
    }
  }
  ~DiskStream() { free(memory_); }
  DiskStream(const DiskStream&) = delete;
  DiskStream& operator=(const DiskStream&) = delete;

  // `next`: the first page of the i-th transfer. Ends after `count` transfers or when time is up;
  // returns how many were done.
  uint64_t Go(Direction direction, uint64_t count, uint64_t time_ns,
              const std::function<uint64_t(uint64_t)>& next, AccessTimes* times) {
    const uint64_t begin = NowNanoseconds();
    uint64_t started = 0;
    uint64_t done = 0;
    for (; started < std::min<uint64_t>(count, slots_.size()); ++started) {
      Start(started, direction, next(started));
    }
    while (done < started) {
      IoRing::Completion completions[kDepthMax];
      const size_t got = ring_.Wait(completions, IoRing::kNoTimeout);
      const uint64_t now = NowNanoseconds();
      for (size_t i = 0; i < got; ++i, ++done) {
        Finish(completions[i], direction, now, times);
        if (started == count || now - begin > time_ns) continue;
        Start(completions[i].label, direction, next(started++));
      }
    }
    return done;
  }

 private:
  struct Slot {
    iovec part;
    uint64_t page = 0;
    uint64_t start_ns = 0;
  };

  void Start(uint64_t label, Direction direction, uint64_t page) {
    Slot& slot = slots_[label];
    slot.page = page;
    if (direction == Direction::kWrite) {
      for (uint64_t i = 0; i < pages_each_; ++i) pattern_.Write(PageOf(slot, i), page + i);
    }
    slot.start_ns = NowNanoseconds();
    if (direction == Direction::kWrite) {
      ring_.QueueWrite(fd_, {&slot.part, 1}, page * kPageBytes, label);
    } else {
      ring_.QueueRead(fd_, {&slot.part, 1}, page * kPageBytes, label);
    }
  }

  void Finish(const IoRing::Completion& completion, Direction direction, uint64_t now,
              AccessTimes* times) {
    const Slot& slot = slots_[completion.label];
    if (completion.result < 0) Die("a transfer of the disk's own", -completion.result);
    if (static_cast<uint64_t>(completion.result) != slot.part.iov_len) {
      Die("a transfer of the disk's own came short", EIO);
    }
    if (times != nullptr) times->Add(now - slot.start_ns);
    if (direction == Direction::kWrite) return;
    for (uint64_t i = 0; i < pages_each_; ++i) {
      if (!pattern_.Holds(PageOf(slot, i), slot.page + i)) Die("the disk's own content", EIO);
    }
  }

  void* PageOf(const Slot& slot, uint64_t i) const {
    return static_cast<unsigned char*>(slot.part.iov_base) + i * kPageBytes;
  }

  const int fd_;
  const uint64_t pages_each_;
  unsigned char* const memory_;
  std::vector<Slot> slots_;
  const PagePattern pattern_;
  IoRing ring_;
};

unsigned DepthOf(Workload workload) {
  switch (workload) {
    case Workload::kRandom1:
      return 1;
    case Workload::kRandom2:
      return 2;
    case Workload::kRandom8:
      return kDepthMax;
    default:
      return kLargeDepth;
  }
}

}  // namespace

void RunDiskWorkload(Workload workload, const std::string& directory, uint64_t pages,
                     const WorkloadLimits& limits, Metrics* metrics) {
  ScratchFile file(directory, ScratchFile::Cache::kDirect);
  (*metrics)["direct"] = file.direct() ? 1 : 0;
  file.Allocate(pages * kPageBytes);
  const uint64_t chunks = pages / kLargePages;
  DiskStream large(file.fd(), kLargePages, kLargeDepth);
  const auto in_order = [](uint64_t i) { return i * kLargePages; };
  uint64_t begin = NowNanoseconds();
  large.Go(Direction::kWrite, chunks, UINT64_MAX, in_order, nullptr);
  if (workload == Workload::kFill) {
    AddThroughput(chunks, kLargePages * kPageBytes, NowNanoseconds() - begin, true, metrics);
    return;
  }
  file.Sync();
  begin = NowNanoseconds();
  if (TraitsOf(workload).in_bytes) {
    const auto place = [workload, chunks, in_order](uint64_t i) {
      return in_order(workload == Workload::kReverse ? chunks - 1 - i : i);
    };
    const uint64_t done = large.Go(Direction::kRead, chunks, limits.time_ns, place, nullptr);
    AddThroughput(done, kLargePages * kPageBytes, NowNanoseconds() - begin, true, metrics);
    return;
  }
  DiskStream small(file.fd(), 1, DepthOf(workload));
  const PageChooser chooser(Popularity::kUniform, chunks * kLargePages);
  PageChooser::Random random(kSeed);
  AccessTimes times(limits.accesses);
  begin = NowNanoseconds();
  const auto anywhere = [&](uint64_t) { return chooser.Next(random); };
  const uint64_t done =
      small.Go(Direction::kRead, limits.accesses, limits.time_ns, anywhere, &times);
  AddThroughput(done, kPageBytes, NowNanoseconds() - begin, false, metrics);
  times.AddTo(metrics);
}

}  // namespace userpager::bench
