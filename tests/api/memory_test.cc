// The C++ layer's memory resource and allocator, with the containers that stand on them.
#include <gtest/gtest.h>
#include <userpager/memory.hpp>
#include <userpager/userpager.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/api/memory_fixture.h"

namespace userpager_tests {
namespace {

using MemoryResourceTest = MemoryTest;
using AllocatorTest = MemoryTest;

template <typename T>
using ManagedVector = std::vector<T, userpager::allocator<T>>;
using ManagedString = std::basic_string<char, std::char_traits<char>, userpager::allocator<char>>;

// A sequence that differs for every seed: 32-bit numbers of splitmix64.
uint32_t Pattern(uint64_t seed) {
  uint64_t z = seed + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<uint32_t>(z >> 32);
}

struct Block {
  unsigned char* data;
  std::size_t bytes;
  std::size_t alignment;
  unsigned char fill;
};

TEST_F(MemoryResourceTest, BlocksAreAlignedAndApart) {
  userpager::memory_resource resource;
  std::vector<Block> blocks;
  unsigned char fill = 0;
  for (const std::size_t bytes : {1u, 8u, 100u, 1024u, 1025u, 5000u, 65536u, 65537u, 200000u}) {
    for (std::size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 4) {
      void* data = resource.allocate(bytes, alignment);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % alignment, 0u) << bytes << " " << alignment;
      std::memset(data, ++fill, bytes);
      blocks.push_back({static_cast<unsigned char*>(data), bytes, alignment, fill});
    }
  }
  for (const Block& block : blocks) {
    for (std::size_t i = 0; i < block.bytes; ++i) {
      ASSERT_EQ(block.data[i], block.fill) << block.bytes << " " << block.alignment << " " << i;
    }
    resource.deallocate(block.data, block.bytes, block.alignment);
  }
}

TEST_F(MemoryResourceTest, DestructionGivesEverythingBack) {
  const uint64_t charge_before = CommitBytes();
  {
    userpager::memory_resource resource;
    std::pmr::vector<std::pmr::string> lines(&resource);
    for (unsigned i = 0; i < 20000; ++i) lines.emplace_back(i % 300, 'x');
    EXPECT_GE(CommitBytes() - charge_before, 20000u * 100u);
    // Pools give back what was not deallocated, too.
    ASSERT_NE(resource.allocate(100, 8), nullptr);
    ASSERT_NE(resource.allocate(10000, 8), nullptr);
  }
  EXPECT_EQ(CommitBytes(), charge_before);
}

TEST_F(MemoryResourceTest, LargeBlocksGoBackAtOnce) {
  userpager::memory_resource resource;
  const uint64_t charge_before = CommitBytes();
  void* block = resource.allocate(8 * kMiB + 1, 16);
  EXPECT_EQ(CommitBytes() - charge_before, 8 * kMiB + kPageBytes);
  resource.deallocate(block, 8 * kMiB + 1, 16);
  EXPECT_EQ(CommitBytes(), charge_before);
  EXPECT_EQ(Query(block).State, DWORD{MEM_FREE});
}

TEST_F(MemoryResourceTest, ZeroBytesAndEquality) {
  userpager::memory_resource first;
  userpager::memory_resource second;
  EXPECT_TRUE(first.is_equal(first));
  EXPECT_FALSE(first.is_equal(second));
  void* a = first.allocate(0, 1);
  void* b = first.allocate(0, 4 * kGranularityBytes);
  EXPECT_NE(a, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % (4 * kGranularityBytes), 0u);
  first.deallocate(a, 0, 1);
  first.deallocate(b, 0, 4 * kGranularityBytes);
}

// Takes blocks until there are none; returns them.
std::vector<void*> TakeAll(userpager::memory_resource& resource, std::size_t bytes,
                           std::size_t most) {
  std::vector<void*> blocks;
  try {
    while (blocks.size() < most) {
      blocks.push_back(nullptr);
      blocks.back() = resource.allocate(bytes, 8);
      std::memcpy(blocks.back(), &blocks.back(), sizeof(void*));
    }
  } catch (const std::bad_alloc&) {
    blocks.pop_back();
  }
  return blocks;
}

TEST_F(MemoryResourceTest, ExhaustionIsBadAllocAndLeaksNothing) {
  const userpager_stats before = Stats();
  if (before.commit_limit_bytes > 2048 * kMiB) {
    GTEST_SKIP() << "the pager was started elsewhere, with too much to use it up here";
  }
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{50000}, kMiB}) {
    userpager::memory_resource resource;
    const std::size_t most = before.commit_limit_bytes / bytes + 1;
    const std::vector<void*> blocks = TakeAll(resource, bytes, most);
    ASSERT_FALSE(blocks.empty());
    EXPECT_LT(blocks.size(), most) << "it never ended";
    EXPECT_THROW((void)resource.allocate(2 * before.commit_limit_bytes, 8), std::bad_alloc);
    for (void* block : blocks) {
      void* stored = nullptr;
      std::memcpy(&stored, block, sizeof(void*));
      ASSERT_EQ(stored, block) << "a block of " << bytes << " bytes lost its contents";
      resource.deallocate(block, bytes, 8);
    }
    void* again = resource.allocate(bytes, 8);
    resource.deallocate(again, bytes, 8);
  }
  EXPECT_EQ(CommitBytes(), before.commit_bytes);
}

TEST_F(MemoryResourceTest, PmrContainers) {
  userpager::memory_resource resource;
  std::pmr::map<int, std::pmr::string> names(&resource);
  const auto text = [](int i) { return std::to_string(i) + ", and more than fits inside"; };
  for (int i = 0; i < 20000; ++i) names.emplace(i * 7 % 20000, text(i));
  ASSERT_EQ(names.size(), 20000u);
  for (int i = 0; i < 20000; ++i) {
    ASSERT_EQ(std::string_view(names.at(i * 7 % 20000)), text(i));
  }
  std::pmr::map<int, std::pmr::string> moved(std::move(names));
  EXPECT_EQ(moved.get_allocator().resource(), &resource);
  EXPECT_EQ(moved.size(), 20000u);
  std::pmr::deque<uint64_t> queue(&resource);
  for (uint64_t i = 0; i < 100000; ++i) queue.push_back(i);
  for (uint64_t i = 0; i < 100000; ++i, queue.pop_front()) ASSERT_EQ(queue.front(), i);
}

TEST_F(MemoryResourceTest, ThreadsShareOneResource) {
  constexpr unsigned kThreads = 4;
  constexpr unsigned kBlocks = 3000;
  userpager::memory_resource resource;
  std::array<std::vector<Block>, kThreads> blocks;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&resource, &own = blocks[t], t] {
      for (unsigned i = 0; i < kBlocks; ++i) {
        const std::size_t bytes = i % 100 == 0 ? 100000 : 1 + Pattern(t * kBlocks + i) % 4000;
        auto* data = static_cast<unsigned char*>(resource.allocate(bytes, 8));
        const auto fill = static_cast<unsigned char>(t * 31 + i);
        std::memset(data, fill, bytes);
        own.push_back({data, bytes, 8, fill});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  std::atomic<unsigned> wrong{0};
  for (unsigned t = 0; t < kThreads; ++t) {
    // Another thread than the one that took the blocks gives them back.
    threads.emplace_back([&resource, &wrong, &others = blocks[(t + 1) % kThreads]] {
      for (const Block& block : others) {
        for (std::size_t i = 0; i < block.bytes; ++i) wrong += block.data[i] != block.fill;
        resource.deallocate(block.data, block.bytes, block.alignment);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
}

TEST_F(AllocatorTest, IsStatelessAndRebinds) {
  using Traits = std::allocator_traits<userpager::allocator<int>>;
  static_assert(Traits::is_always_equal::value);
  static_assert(std::is_same_v<Traits::rebind_alloc<char>, userpager::allocator<char>>);
  EXPECT_TRUE(userpager::allocator<int>() == userpager::allocator<char>());
  EXPECT_FALSE(userpager::allocator<int>() != userpager::allocator<char>());
}

TEST_F(AllocatorTest, VectorBeyondTheMemoryLimit) {
  const userpager_stats before = Stats();
  if (before.memory_limit_bytes > 256 * kMiB) {
    GTEST_SKIP() << "the pager was started elsewhere, with a limit too large to go beyond here";
  }
  constexpr std::size_t kWords = 48 * kMiB / sizeof(uint32_t);
  ManagedVector<uint32_t> numbers(kWords);
  for (std::size_t i = 0; i < kWords; ++i) numbers[i] = Pattern(i);
  for (std::size_t i = 0; i < kWords; ++i) ASSERT_EQ(numbers[i], Pattern(i)) << i;
  const userpager_stats after = Stats();
  if (before.memory_limit_bytes < kWords * sizeof(uint32_t)) {
    EXPECT_GT(after.pages_out, before.pages_out);
    EXPECT_GT(after.pages_in, before.pages_in);
  }
  EXPECT_LE(after.resident_bytes_peak, after.memory_limit_bytes);
}

TEST_F(AllocatorTest, VectorGrowsMovesAndSwaps) {
  ManagedVector<uint64_t> numbers;
  for (uint64_t i = 0; i < 300000; ++i) numbers.push_back(i * i);
  const uint64_t* const data = numbers.data();
  EXPECT_NE(Query(data).State, DWORD{MEM_FREE}) << "not managed memory";
  ManagedVector<uint64_t> moved(std::move(numbers));
  EXPECT_EQ(moved.data(), data);
  ManagedVector<uint64_t> assigned(10);
  assigned = std::move(moved);
  EXPECT_EQ(assigned.data(), data);
  ManagedVector<uint64_t> other{1, 2, 3};
  std::swap(assigned, other);
  EXPECT_EQ(other.data(), data);
  EXPECT_EQ(assigned, (ManagedVector<uint64_t>{1, 2, 3}));
  for (uint64_t i = 0; i < 300000; ++i) ASSERT_EQ(other[i], i * i);
}

TEST_F(AllocatorTest, NodeContainers) {
  using Pair = std::pair<const ManagedString, uint64_t>;
  struct Hash {
    std::size_t operator()(const ManagedString& key) const {
      return std::hash<std::string_view>()(std::string_view(key));
    }
  };
  std::unordered_map<ManagedString, uint64_t, Hash, std::equal_to<>, userpager::allocator<Pair>>
      hashed;
  std::map<ManagedString, uint64_t, std::less<>, userpager::allocator<Pair>> ordered;
  std::deque<ManagedString, userpager::allocator<ManagedString>> queue;
  for (uint64_t i = 0; i < 20000; ++i) {
    ManagedString key("a key that is too long for the string itself ");
    key += std::to_string(i).c_str();
    hashed[key] = i;
    ordered[key] = i;
    queue.push_back(std::move(key));
  }
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_EQ(hashed.at(queue[i]), i);
    ASSERT_EQ(ordered.at(queue[i]), i);
  }
  for (uint64_t i = 0; i < 20000; i += 2) {
    ASSERT_EQ(hashed.erase(queue[i]), 1u);
    ASSERT_EQ(ordered.erase(queue[i]), 1u);
  }
  EXPECT_EQ(hashed.size(), 10000u);
  EXPECT_EQ(ordered.size(), 10000u);
  for (uint64_t i = 1; i < 20000; i += 2) ASSERT_EQ(ordered.at(queue[i]), hashed.at(queue[i]));
}

TEST_F(AllocatorTest, OverAlignedElements) {
  struct alignas(256) Wide {
    unsigned char bytes[256];
  };
  struct alignas(2 * kGranularityBytes) Wider {
    unsigned char first;
  };
  ManagedVector<Wide> wide(100);
  for (Wide& w : wide) EXPECT_EQ(reinterpret_cast<uintptr_t>(&w) % alignof(Wide), 0u);
  ManagedVector<Wider> wider(2);
  for (Wider& w : wider) EXPECT_EQ(reinterpret_cast<uintptr_t>(&w) % alignof(Wider), 0u);
}

TEST_F(AllocatorTest, ImpossibleSizesThrow) {
  userpager::allocator<uint64_t> allocator;
  EXPECT_THROW((void)allocator.allocate(~std::size_t{0} / 4), std::bad_array_new_length);
  EXPECT_THROW((void)allocator.allocate(~std::size_t{0} / 16), std::bad_alloc);
  ManagedVector<uint64_t> numbers{5};
  EXPECT_THROW(numbers.reserve(numbers.max_size()), std::bad_alloc);
  ASSERT_EQ(numbers.size(), 1u);
  EXPECT_EQ(numbers[0], 5u);
}

// Throws when its `fail_at`-th object is made.
struct Fragile {
  static inline int made = 0;
  static constexpr int kFailAt = 20000;
  Fragile() {
    if (++made == kFailAt) throw std::runtime_error("as asked for");
  }
  char bytes[64] = {};
};

TEST_F(AllocatorTest, ThrowingElementsLeakNothing) {
  (void)userpager::process_resource();
  const uint64_t charge_before = CommitBytes();
  Fragile::made = 0;
  EXPECT_THROW(ManagedVector<Fragile>(2 * Fragile::kFailAt), std::runtime_error);
  EXPECT_EQ(CommitBytes(), charge_before);
}

}  // namespace
}  // namespace userpager_tests
