#include "runtime/base/arena.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/base/lock.h"
#include "runtime/base/system_call.h"
#include "runtime/base/types.h"

namespace userpager {
namespace {

constexpr size_t kChunkBytes = 1024 * 1024;
// A runtime that has so many blocks of less than a page has them on huge pages from then on: a
// look-up among a hundred thousand reservations is mostly misses of the processor's cache of page
// tables. Larger blocks are arrays that may be touched here and there only.
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

struct Chunk {
  char* rest = nullptr;
  size_t left = 0;
  unsigned count = 0;  // of chunks until now
};

struct State {
  Lock lock{LockRank::kLeaf};
  FreeBlock* free_blocks[kClassCount] ABSL_GUARDED_BY(lock) = {};
  Chunk parts_of_pages ABSL_GUARDED_BY(lock);
  Chunk whole_pages ABSL_GUARDED_BY(lock);  // all of its blocks begin at pages
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

bool TakeChunk(Chunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.lock) {
  const bool huge = &chunk == &state.parts_of_pages && chunk.count >= kChunksOfSmallPages;
  void* fresh = huge ? MapHugeChunk() : Map(kChunkBytes);
  if (fresh == nullptr) return false;
  ++chunk.count;
  chunk.rest = static_cast<char*>(fresh);
  chunk.left = huge ? kHugeChunkBytes : kChunkBytes;
  return true;
}

void* TakeSmall(unsigned size_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.lock) {
  const size_t bytes = kSmallestBytes << size_class;
  if (FreeBlock* block = state.free_blocks[size_class]; block != nullptr) {
    state.free_blocks[size_class] = block->next;
    // What is behind the first page is zeros since it was freed.
    memset(static_cast<void*>(block), 0, std::min<size_t>(bytes, kPageBytes));
    return block;
  }
  Chunk& chunk = bytes < kPageBytes ? state.parts_of_pages : state.whole_pages;
  if (bytes >= kCacheLineBytes) {
    // What is skipped is less than one line, and only behind the smallest blocks.
    const size_t skipped = chunk.left % kCacheLineBytes;
    chunk.rest += skipped;
    chunk.left -= skipped;
  }
  if (chunk.left < bytes && !TakeChunk(chunk)) return nullptr;
  void* block = chunk.rest;
  chunk.rest += bytes;
  chunk.left -= bytes;
  return block;
}

// Gives back the memory of a block that is not in use, but for its first page.
void Empty(void* block, size_t bytes) {
  if (bytes <= kPageBytes) return;
  char* rest = static_cast<char*>(block) + kPageBytes;
  const size_t rest_bytes = bytes - kPageBytes;
  if (madvise(rest, rest_bytes, MADV_DONTNEED) != 0) memset(rest, 0, rest_bytes);
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
  const unsigned size_class = ClassOf(bytes);
  Empty(block, kSmallestBytes << size_class);
  LockHolder hold(state.lock);
  FreeBlock* freed = static_cast<FreeBlock*>(block);
  freed->next = state.free_blocks[size_class];
  state.free_blocks[size_class] = freed;
}

void Arena::HoldForFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { state.lock.AcquireBeside(); }
void Arena::ReleaseAfterFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { state.lock.Release(); }

uint64_t Arena::bytes_in_use() { return used_bytes.load(std::memory_order_relaxed); }

}  // namespace userpager
