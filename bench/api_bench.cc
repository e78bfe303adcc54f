// What calls of the VirtualAlloc family cost, beside the system calls that do the same to memory of
// the kernel's own:
//
//   VirtualQuery      of a committed page                     none
//   CommitAgain       of 64 KiB that are committed            mprotect of what is accessible
//   Protect           of 64 KiB to read-only and back         mprotect to read-only and back
//   CommitDecommit    64 KiB that nobody touches in between   mprotect, madvise, mprotect
//   ReserveRelease    64 KiB                                  mmap and munmap
//   DecommitTouched   64 KiB whose pages were all written     madvise
//
// The number behind a name is how many reservations of 64 KiB there are, as neighbours: those that
// are used are taken in random order. Time is for one operation, or one pair where two are named.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "runtime/base/clock.h"

namespace userpager {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBytes = 65536;
constexpr size_t kMemoryLimitBytes = size_t{256} << 20;
constexpr uint64_t kPageFileBytes = uint64_t{12} << 30;
// Reservations that a benchmark goes round.
constexpr size_t kUsed = 4096;

// False where the pager cannot start here.
bool Start(benchmark::State& state) {
  static const int started = [] {
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = kMemoryLimitBytes;
    options.page_file_max_bytes = kPageFileBytes;
    return userpager_start(&options);
  }();
  if (started != 0) state.SkipWithError(userpager_error_message());
  return started == 0;
}

// `count` reservations with `type`; some of them in random order.
class Reservations {
 public:
  Reservations(size_t count, DWORD type) : all_(count) {
    for (char*& base : all_) {
      base = static_cast<char*>(VirtualAlloc(nullptr, kBytes, type, PAGE_READWRITE));
      ok_ = ok_ && base != nullptr;
    }
    std::mt19937_64 random(count);
    used_.resize(kUsed);
    for (char*& base : used_) base = all_[random() % count];
  }
  ~Reservations() {
    for (char* base : all_) VirtualFree(base, 0, MEM_RELEASE);
  }
  Reservations(const Reservations&) = delete;
  Reservations& operator=(const Reservations&) = delete;

  bool ok() const { return ok_; }
  char* Next() { return used_[next_++ % kUsed]; }

 private:
  std::vector<char*> all_;
  std::vector<char*> used_;
  size_t next_ = 0;
  bool ok_ = true;
};

// Repeats `call(base)`, which says whether it worked, on one reservation after the other.
template <typename Call>
void OnReservations(benchmark::State& state, DWORD type, Call call) {
  if (!Start(state)) return;
  Reservations reservations(static_cast<size_t>(state.range(0)), type);
  bool ok = reservations.ok();
  for (auto _ : state) ok = call(reservations.Next()) && ok;
  if (!ok) state.SkipWithError("a call failed");
}

void VirtualQuery(benchmark::State& state) {
  OnReservations(state, MEM_RESERVE | MEM_COMMIT, [](char* base) {
    MEMORY_BASIC_INFORMATION information;
    return ::VirtualQuery(base, &information, sizeof information) != 0 &&
           information.RegionSize == kBytes;
  });
}

void CommitAgain(benchmark::State& state) {
  OnReservations(state, MEM_RESERVE | MEM_COMMIT, [](char* base) {
    return VirtualAlloc(base, kBytes, MEM_COMMIT, PAGE_READWRITE) == base;
  });
}

void Protect(benchmark::State& state) {
  OnReservations(state, MEM_RESERVE | MEM_COMMIT, [](char* base) {
    DWORD old = 0;
    return VirtualProtect(base, kBytes, PAGE_READONLY, &old) &&
           VirtualProtect(base, kBytes, PAGE_READWRITE, &old);
  });
}

void CommitDecommit(benchmark::State& state) {
  OnReservations(state, MEM_RESERVE, [](char* base) {
    return VirtualAlloc(base, kBytes, MEM_COMMIT, PAGE_READWRITE) == base &&
           VirtualFree(base, kBytes, MEM_DECOMMIT);
  });
}

// Beside so many others.
void ReserveRelease(benchmark::State& state) {
  OnReservations(state, MEM_RESERVE, [](char*) {
    void* made = VirtualAlloc(nullptr, kBytes, MEM_RESERVE, PAGE_READWRITE);
    return made != nullptr && VirtualFree(made, 0, MEM_RELEASE);
  });
}

void TouchAll(char* base) {
  for (size_t at = 0; at < kBytes; at += kPage) static_cast<volatile char*>(base)[at] = 1;
}

// Times `drop(base)` alone, after every page was written; `renew(base)` makes them usable again.
template <typename Drop, typename Renew>
void TimeDrop(benchmark::State& state, void* base, Drop drop, Renew renew) {
  bool ok = base != nullptr;
  for (auto _ : state) {
    if (!ok) break;
    TouchAll(static_cast<char*>(base));
    const uint64_t begin = NowNanoseconds();
    ok = drop(base);
    state.SetIterationTime(static_cast<double>(NowNanoseconds() - begin) * 1e-9);
    ok = renew(base) && ok;
  }
  if (!ok) state.SkipWithError("a call failed");
}

void DecommitTouched(benchmark::State& state) {
  if (!Start(state)) return;
  void* base = VirtualAlloc(nullptr, kBytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  TimeDrop(
      state, base, [](void* p) { return VirtualFree(p, kBytes, MEM_DECOMMIT) != 0; },
      [](void* p) { return VirtualAlloc(p, kBytes, MEM_COMMIT, PAGE_READWRITE) == p; });
  VirtualFree(base, 0, MEM_RELEASE);
}

// ---- The kernel's own, of one mapping of 64 KiB. ----

void* Map() {
  void* made = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return made == MAP_FAILED ? nullptr : made;
}

// Repeats `call(base)` on the mapping.
template <typename Call>
void OnMapping(benchmark::State& state, Call call) {
  void* base = Map();
  bool ok = base != nullptr;
  for (auto _ : state) ok = ok && call(base);
  if (base != nullptr) munmap(base, kBytes);
  if (!ok) state.SkipWithError("a system call failed");
}

void KernelMmapMunmap(benchmark::State& state) {
  OnMapping(state, [](void*) {
    void* made = Map();
    return made != nullptr && munmap(made, kBytes) == 0;
  });
}

void KernelMprotectSame(benchmark::State& state) {
  OnMapping(state,
            [](void* base) { return mprotect(base, kBytes, PROT_READ | PROT_WRITE) == 0; });
}

void KernelMprotectBack(benchmark::State& state) {
  OnMapping(state, [](void* base) {
    return mprotect(base, kBytes, PROT_READ) == 0 &&
           mprotect(base, kBytes, PROT_READ | PROT_WRITE) == 0;
  });
}

void KernelMprotectMadvise(benchmark::State& state) {
  OnMapping(state, [](void* base) {
    return mprotect(base, kBytes, PROT_READ | PROT_WRITE) == 0 &&
           madvise(base, kBytes, MADV_DONTNEED) == 0 && mprotect(base, kBytes, PROT_NONE) == 0;
  });
}

void KernelMadviseTouched(benchmark::State& state) {
  void* base = Map();
  TimeDrop(
      state, base, [](void* p) { return madvise(p, kBytes, MADV_DONTNEED) == 0; },
      [](void*) { return true; });
  if (base != nullptr) munmap(base, kBytes);
}

// Reservations by the hundred thousand take seconds to make: once each.
void Sizes(benchmark::internal::Benchmark* bench) { bench->Arg(1)->Arg(100'000); }

BENCHMARK(VirtualQuery)->Apply(Sizes);
BENCHMARK(CommitAgain)->Apply(Sizes);
BENCHMARK(KernelMprotectSame);
BENCHMARK(Protect)->Apply(Sizes);
BENCHMARK(KernelMprotectBack);
BENCHMARK(CommitDecommit)->Apply(Sizes);
BENCHMARK(KernelMprotectMadvise);
BENCHMARK(ReserveRelease)->Apply(Sizes);
BENCHMARK(KernelMmapMunmap);
BENCHMARK(DecommitTouched)->UseManualTime();
BENCHMARK(KernelMadviseTouched)->UseManualTime();

}  // namespace
}  // namespace userpager

BENCHMARK_MAIN();
