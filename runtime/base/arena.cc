#include "runtime/base/arena.h"

#include <string.h>
#include <sys/mman.h>

#include <atomic>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/base/lock.h"
#include "runtime/base/system_call.h"
#include "runtime/base/types.h"

namespace userpager {
namespace {

constexpr size_t kChunkBytes = 1024 * 1024;
// A runtime that has so many small blocks has them on huge pages from then on: a look-up among a
// hundred thousand reservations is mostly misses of the processor's cache of page tables.
constexpr unsigned kChunksOfSmallPages = 8;
constexpr size_t kHugeChunkBytes = 2 * 1024 * 1024;
constexpr size_t kSmallestBytes = 16;
constexpr size_t kCacheLineBytes = 64;
// Larger blocks are mappings of their own.
constexpr size_t kLargestSmallBytes = 32 * 1024;
constexpr unsigned kClassCount = std::countr_zero(kLargestSmallBytes / kSmallestBytes) + 1;

struct FreeBlock {
  FreeBlock* next;
};

struct State {
  Lock lock{LockRank::kLeaf};
  FreeBlock* free_blocks[kClassCount] ABSL_GUARDED_BY(lock) = {};
  char* chunk ABSL_GUARDED_BY(lock) = nullptr;
  unsigned chunks ABSL_GUARDED_BY(lock) = 0;
  size_t chunk_left ABSL_GUARDED_BY(lock) = 0;
};

constinit State state;
constinit std::atomic<uint64_t> used_bytes{0};

// Small blocks are rounded up to a power of two: class i holds blocks of 16 << i bytes.
unsigned ClassOf(size_t bytes) {
  if (bytes <= kSmallestBytes) return 0;
  return static_cast<unsigned>(std::bit_width((bytes - 1) / kSmallestBytes));
}

void* Map(size_t bytes) {
  void* p = USERPAGER_CALL(kMap, mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (p == MAP_FAILED) return nullptr;
  // Metadata is kept out of core files, and small pages keep its cost exact. Both are wishes: a
  // kernel without them works as well.
  (void)madvise(p, bytes, MADV_DONTDUMP);
  (void)madvise(p, bytes, MADV_NOHUGEPAGE);
  return p;
}

// Aligned to its own size, so that one huge page can hold it.
void* MapHugeChunk() {
  void* p = Map(2 * kHugeChunkBytes);
  if (p == nullptr) return nullptr;
  char* begin = static_cast<char*>(p);
  char* chunk = reinterpret_cast<char*>(
      RoundUp(reinterpret_cast<uint64_t>(begin), kHugeChunkBytes));
  char* end = begin + 2 * kHugeChunkBytes;
  if (chunk > begin) munmap(begin, static_cast<size_t>(chunk - begin));
  munmap(chunk + kHugeChunkBytes, static_cast<size_t>(end - (chunk + kHugeChunkBytes)));
  (void)madvise(chunk, kHugeChunkBytes, MADV_HUGEPAGE);
  return chunk;
}

bool TakeChunk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.lock) {
  const bool huge = state.chunks >= kChunksOfSmallPages;
  void* chunk = huge ? MapHugeChunk() : Map(kChunkBytes);
  if (chunk == nullptr) return false;
  ++state.chunks;
  state.chunk = static_cast<char*>(chunk);
  state.chunk_left = huge ? kHugeChunkBytes : kChunkBytes;
  return true;
}

void* TakeSmall(unsigned size_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.lock) {
  if (FreeBlock* block = state.free_blocks[size_class]; block != nullptr) {
    state.free_blocks[size_class] = block->next;
    memset(static_cast<void*>(block), 0, kSmallestBytes << size_class);
    return block;
  }
  const size_t bytes = kSmallestBytes << size_class;
  if (bytes >= kCacheLineBytes) {
    // What is skipped is less than one line, and only behind the smallest blocks.
    const size_t skipped = state.chunk_left % kCacheLineBytes;
    state.chunk += skipped;
    state.chunk_left -= skipped;
  }
  if (state.chunk_left < bytes && !TakeChunk()) return nullptr;
  void* block = state.chunk;
  state.chunk += bytes;
  state.chunk_left -= bytes;
  return block;
}

}  // namespace

void* Arena::Allocate(size_t bytes) {
  USERPAGER_CHECK(bytes > 0, "a metadata block of no bytes was asked for", bytes);
  void* block = nullptr;
  if (bytes > kLargestSmallBytes) {
    block = Map(RoundUp(bytes, kPageBytes));
  } else {
    LockHolder hold(state.lock);
    block = TakeSmall(ClassOf(bytes));
  }
  if (block != nullptr) used_bytes.fetch_add(bytes, std::memory_order_relaxed);
  return block;
}

void Arena::Free(void* block, size_t bytes) {
  used_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  if (bytes > kLargestSmallBytes) {
    const size_t mapped = RoundUp(bytes, kPageBytes);
    if (USERPAGER_CALL(kUnmap, munmap(block, mapped)) == 0) return;
    // The kernel had to split a mapping and has too many: the addresses stay, without memory.
    const int failed = madvise(block, mapped, MADV_DONTNEED);
    USERPAGER_CHECK(failed == 0, "a metadata mapping could not be given back", bytes);
    return;
  }
  LockHolder hold(state.lock);
  FreeBlock* freed = static_cast<FreeBlock*>(block);
  freed->next = state.free_blocks[ClassOf(bytes)];
  state.free_blocks[ClassOf(bytes)] = freed;
}

void Arena::HoldForFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { state.lock.AcquireBeside(); }
void Arena::ReleaseAfterFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { state.lock.Release(); }

uint64_t Arena::bytes_in_use() { return used_bytes.load(std::memory_order_relaxed); }

}  // namespace userpager
