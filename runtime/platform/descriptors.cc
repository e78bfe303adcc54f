#include "runtime/platform/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace userpager {
namespace {

// Six a shard, one for each forked child that lives, and some; more than that are kept as well, but
// a program can close them.
constexpr unsigned kMostKept = 768;
// How many numbers below the limit are looked at first. Programs that want many descriptors go up
// from the bottom.
constexpr rlim_t kFromTheTop = 128;
// select(2) knows no higher ones.
constexpr rlim_t kHighest = 1024;

// Each holds a descriptor + 1, or 0.
constinit std::atomic<int> kept[kMostKept] = {};
// Of the same places: whether a forked child goes on using it.
constinit std::atomic<bool> kept_in_children[kMostKept] = {};

int LowestWanted() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t most = std::min(limit.rlim_cur, kHighest);
  return most > 2 * kFromTheTop ? static_cast<int>(most - kFromTheTop) : 0;
}

}  // namespace

int Descriptors::Keep(int descriptor) {
  if (descriptor < 0) return descriptor;
  const int before = errno;
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, LowestWanted());
  if (moved >= 0) close(descriptor);
  const int now = moved >= 0 ? moved : descriptor;
  for (std::atomic<int>& entry : kept) {
    int none = 0;
    if (entry.compare_exchange_strong(none, now + 1)) break;
  }
  errno = before;
  return now;
}

void Descriptors::Forget(int descriptor) {
  for (unsigned i = 0; i < kMostKept; ++i) {
    if (kept[i].load(std::memory_order_relaxed) != descriptor + 1) continue;
    kept_in_children[i].store(false, std::memory_order_relaxed);
    kept[i].store(0);
    break;
  }
}

void Descriptors::Close(int descriptor) {
  if (descriptor < 0) return;
  Forget(descriptor);
  close(descriptor);
}

bool Descriptors::Has(int descriptor) { return descriptor >= 0 && Next(descriptor) == descriptor; }

int Descriptors::Next(int from) {
  int lowest = -1;
  for (const std::atomic<int>& entry : kept) {
    const int value = entry.load(std::memory_order_relaxed) - 1;
    if (value >= std::max(from, 0) && (lowest < 0 || value < lowest)) lowest = value;
  }
  return lowest;
}

int Descriptors::KeepInChildren(int descriptor) {
  for (unsigned i = 0; i < kMostKept && descriptor >= 0; ++i) {
    if (kept[i].load(std::memory_order_relaxed) != descriptor + 1) continue;
    kept_in_children[i].store(true, std::memory_order_relaxed);
    break;
  }
  return descriptor;
}

void Descriptors::CloseInherited() {
  for (unsigned i = 0; i < kMostKept; ++i) {
    if (kept_in_children[i].load(std::memory_order_relaxed)) continue;
    const int value = kept[i].exchange(0);
    if (value != 0) close(value - 1);
  }
}

void Descriptors::CloseAll() {
  for (std::atomic<bool>& entry : kept_in_children) entry.store(false, std::memory_order_relaxed);
  CloseInherited();
}

}  // namespace userpager
