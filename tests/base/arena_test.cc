#include "runtime/base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/types.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

bool IsFilledWith(const void* block, size_t bytes, unsigned char value) {
  const auto* begin = static_cast<const unsigned char*>(block);
  return std::all_of(begin, begin + bytes, [value](unsigned char b) { return b == value; });
}

// Whether the kernel has a mapping at the page of `address`: mincore says ENOMEM where it has none.
bool IsMapped(void* address) {
  unsigned char present;
  return mincore(PointerTo(PageOf(address)), kPageBytes, &present) == 0;
}

size_t PresentPages(void* begin, size_t bytes) {
  std::vector<unsigned char> present(bytes / kPageBytes);
  EXPECT_EQ(mincore(begin, bytes, present.data()), 0);
  return static_cast<size_t>(
      std::count_if(present.begin(), present.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

TEST(Arena, BlocksOfEverySizeAreZeroAlignedAndApart) {
  const uint64_t bytes_before = Arena::bytes_in_use();
  struct Block {
    unsigned char* begin;
    size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  unsigned char mark = 0;
  uint64_t total = 0;
  for (size_t bytes : {1u, 15u, 16u, 17u, 31u, 33u, 64u, 100u, 512u, 4096u, 4097u, 32768u, 32769u,
                       100000u, 1048577u}) {
    for (unsigned i = 0; i < 5; ++i) {
      auto* begin = static_cast<unsigned char*>(Arena::Allocate(bytes));
      ASSERT_NE(begin, nullptr);
      EXPECT_EQ(reinterpret_cast<uint64_t>(begin) % (bytes > 2048 ? kPageBytes : 16), 0u);
      EXPECT_TRUE(IsFilledWith(begin, bytes, 0)) << bytes;
      memset(begin, ++mark, bytes);
      blocks.push_back({begin, bytes, mark});
      total += bytes;
    }
  }
  EXPECT_EQ(Arena::bytes_in_use() - bytes_before, total);
  for (const Block& block : blocks) {
    EXPECT_TRUE(IsFilledWith(block.begin, block.bytes, block.mark)) << block.bytes;
    Arena::Free(block.begin, block.bytes);
  }
  EXPECT_EQ(Arena::bytes_in_use(), bytes_before);
}

TEST(Arena, AReusedBlockIsZeroAgain) {
  for (const size_t bytes : {16u, 500u, 32768u}) {
    void* first = Arena::Allocate(bytes);
    memset(first, 0xff, bytes);
    Arena::Free(first, bytes);
    void* second = Arena::Allocate(bytes);
    EXPECT_EQ(second, first) << "a free block of " << bytes << " bytes was not reused";
    EXPECT_TRUE(IsFilledWith(second, bytes, 0)) << bytes;
    Arena::Free(second, bytes);
  }
}

TEST(Arena, ALargeBlockTakesMemoryOnlyWhereItIsTouchedAndGivesItBack) {
  constexpr size_t kBytes = 64 << 20;
  auto* block = static_cast<unsigned char*>(Arena::Allocate(kBytes));
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(PresentPages(block, kBytes), 0u);
  block[0] = 1;
  block[kBytes / 2] = 1;
  EXPECT_EQ(PresentPages(block, kBytes), 2u);
  ASSERT_TRUE(IsMapped(block + kBytes / 2));
  Arena::Free(block, kBytes);
  EXPECT_FALSE(IsMapped(block + kBytes / 2));
}

// Also behind so many smaller blocks that these are on huge pages.
TEST(Arena, ABlockOfPagesTakesMemoryOnlyWhereItIsTouchedAndGivesItBack) {
  constexpr size_t kBytes = 8 * kPageBytes;
  constexpr size_t kSmaller = 2048;
  std::vector<void*> blocks;
  for (unsigned i = 0; i < (10u << 20) / kSmaller; ++i) blocks.push_back(Arena::Allocate(kSmaller));
  std::vector<unsigned char*> sparse;
  for (unsigned i = 0; i < 200; ++i) {
    sparse.push_back(static_cast<unsigned char*>(Arena::Allocate(kBytes)));
    sparse.back()[5 * kPageBytes] = 1;
  }
  // A block that was used before keeps its first page.
  for (unsigned char* block : sparse) EXPECT_LE(PresentPages(block, kBytes), 2u);
  for (unsigned char* block : sparse) {
    memset(block, 1, kBytes);
    Arena::Free(block, kBytes);
    EXPECT_LE(PresentPages(block, kBytes), 1u);
  }
  for (void* block : blocks) Arena::Free(block, kSmaller);
}

TEST(Arena, WhatTheKernelDoesNotHaveIsNullAndNotCounted) {
  const uint64_t before = Arena::bytes_in_use();
  EXPECT_EQ(Arena::Allocate(size_t{1} << 60), nullptr);
  const ArenaArray<uint64_t> array(size_t{1} << 57);
  EXPECT_FALSE(array.ok());
  EXPECT_EQ(array.size(), 0u);
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

TEST(Arena, ThreadsNeverShareABlock) {
  const uint64_t before = Arena::bytes_in_use();
  const uint64_t seed = TestSeed();
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([seed, thread] {
      std::mt19937_64 random(seed + thread);
      const auto mark = static_cast<unsigned char>(thread + 1);
      std::vector<std::pair<void*, size_t>> held;
      for (unsigned step = 0; step < 5000; ++step) {
        if (held.size() < 100 && random() % 2 == 0) {
          const size_t bytes = 1 + random() % (random() % 50 == 0 ? 100'000 : 2000);
          void* block = Arena::Allocate(bytes);
          ASSERT_NE(block, nullptr);
          ASSERT_TRUE(IsFilledWith(block, bytes, 0));
          memset(block, mark, bytes);
          held.emplace_back(block, bytes);
        } else if (!held.empty()) {
          std::swap(held[random() % held.size()], held.back());
          const auto [block, bytes] = held.back();
          held.pop_back();
          ASSERT_TRUE(IsFilledWith(block, bytes, mark)) << "another thread wrote into it";
          Arena::Free(block, bytes);
        }
      }
      for (const auto& [block, bytes] : held) Arena::Free(block, bytes);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

TEST(Arena, ObjectsAreMadeAndDestroyed) {
  struct Probe {
    explicit Probe(int* alive) : alive_count(alive) { ++*alive_count; }
    ~Probe() { --*alive_count; }
    int* alive_count;
  };
  const uint64_t before = Arena::bytes_in_use();
  int alive = 0;
  Probe* probe = ArenaNew<Probe>(&alive);
  ASSERT_NE(probe, nullptr);
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(Arena::bytes_in_use(), before + sizeof(Probe));
  ArenaDelete(probe);
  ArenaDelete<Probe>(nullptr);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

TEST(ArenaArray, MovesWithItsMemory) {
  const uint64_t before = Arena::bytes_in_use();
  {
    ArenaArray<uint64_t> first(100);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first.size(), 100u);
    EXPECT_EQ(first[99], 0u);
    first[99] = 5;
    ArenaArray<uint64_t> second(std::move(first));
    EXPECT_EQ(second[99], 5u);
    ArenaArray<uint64_t> third;
    EXPECT_FALSE(third.ok());
    third = std::move(second);
    EXPECT_EQ(std::as_const(third)[99], 5u);
    EXPECT_EQ(Arena::bytes_in_use(), before + 800);
  }
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

TEST(ShortArenaArray, KeepsOneInPlaceAndMoreInTheArena) {
  const uint64_t before = Arena::bytes_in_use();
  {
    ShortArenaArray<uint64_t> array;
    ASSERT_TRUE(array.Reset(1));
    EXPECT_EQ(Arena::bytes_in_use(), before);
    array[0] = 7;
    EXPECT_EQ(*std::as_const(array).data(), 7u);
    ASSERT_TRUE(array.Reset(3));
    EXPECT_EQ(Arena::bytes_in_use(), before + 24);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(array[i], 0u);
    array[2] = 9;
    EXPECT_EQ(std::as_const(array)[2], 9u);
    EXPECT_FALSE(array.Reset(size_t{1} << 57));
    ASSERT_TRUE(array.Reset(0));
    EXPECT_EQ(array[0], 0u) << "what was there before shows";
    EXPECT_EQ(Arena::bytes_in_use(), before);
  }
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

TEST(Arena, BlocksFromALineOnBeginALine) {
  void* blocks[32];
  for (unsigned i = 0; i < 32; ++i) {
    blocks[i] = Arena::Allocate(i % 2 == 0 ? 16 : 64u << (i % 5));
    ASSERT_NE(blocks[i], nullptr);
    if (i % 2 != 0) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks[i]) % 64, 0u) << i;
    }
  }
  for (unsigned i = 0; i < 32; ++i) Arena::Free(blocks[i], i % 2 == 0 ? 16 : 64u << (i % 5));
}

TEST(ArenaDeathTest, ABlockOfNoBytesStopsTheProgram) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH((void)Arena::Allocate(0), "of no bytes");
}

}  // namespace
}  // namespace userpager
