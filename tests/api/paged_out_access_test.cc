// Accesses to pages that are out, of every width and by many threads, and instructions on them (see
// virtual_alloc_test.cc about the numbers).
#include <array>
#include <random>
#include <thread>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/seed.h"

namespace userpager_tests {
namespace {

constexpr size_t kBytes = 1024 * kP;
constexpr size_t kThreads = 4;
// Each thread has this much of every page for itself.
constexpr size_t kShareBytes = kP / kThreads;

unsigned char ByteOf(size_t at) {
  return static_cast<unsigned char>((at * 0x9e3779b97f4a7c15) >> 56);
}

// Reads, and sometimes stores again, what is there. Returns how many reads were wrong.
template <typename Word>
size_t Touch(std::byte* memory, size_t at, bool store) {
  Word word;
  memcpy(&word, memory + at, sizeof word);
  std::array<unsigned char, sizeof(Word)> bytes;
  memcpy(bytes.data(), &word, sizeof word);
  size_t wrong = 0;
  for (size_t i = 0; i < bytes.size(); ++i) wrong += bytes[i] != ByteOf(at + i);
  if (store) memcpy(memory + at, &word, sizeof word);
  return wrong;
}

size_t TouchAtRandom(std::byte* memory, size_t thread, uint64_t seed, unsigned touches) {
  std::mt19937_64 random(seed + thread);
  size_t wrong = 0;
  for (unsigned i = 0; i < touches; ++i) {
    const size_t at = random() % (kBytes / kP) * kP + thread * kShareBytes +
                      random() % (kShareBytes - 16 + 1);
    const bool store = random() % 4 == 0;
    switch (random() % 5) {
      case 0: wrong += Touch<uint8_t>(memory, at, store); break;
      case 1: wrong += Touch<uint16_t>(memory, at, store); break;
      case 2: wrong += Touch<uint32_t>(memory, at, store); break;
      case 3: wrong += Touch<uint64_t>(memory, at, store); break;
      default: wrong += Touch<std::array<uint64_t, 2>>(memory, at, store);
    }
  }
  return wrong;
}

using PagedOutAccessTest = VirtualMemoryTest;

TEST_F(PagedOutAccessTest, FA6_AnyWidthFromManyThreads) {
  constexpr unsigned kRounds = 3;
  constexpr unsigned kTouches = 1500;
  std::byte* base = Commit(kBytes);
  for (size_t at = 0; at < kBytes; ++at) base[at] = std::byte{ByteOf(at)};
  for (unsigned round = 0; round < kRounds; ++round) {
    EXPECT_TRUE(EmptyWorkingSet(GetCurrentProcess()));
    std::array<size_t, kThreads> wrong = {};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&wrong, base, t, round] {
        wrong[t] = TouchAtRandom(base, t, userpager::TestSeed() + round * kThreads, kTouches);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const size_t count : wrong) EXPECT_EQ(count, 0u);
  }
  size_t wrong = 0;
  for (size_t at = 0; at < kBytes; ++at) wrong += base[at] != std::byte{ByteOf(at)};
  EXPECT_EQ(wrong, 0u);
  Release(base);
}

TEST_F(PagedOutAccessTest, FA5_InstructionOnTwoPages) {
#if defined(__x86_64__)
  // mov eax, 0x11223344; ret: the constant lies on both sides of the border.
  constexpr unsigned char kCode[] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xc3};
  std::byte* base = Commit(2 * kP, PAGE_EXECUTE_READWRITE);
  for (size_t before = 1; before < sizeof kCode; ++before) {
    std::byte* code = base + kP - before;
    memcpy(code, kCode, sizeof kCode);
    // The first page is out, the second has been written just now.
    EXPECT_FALSE(VirtualUnlock(base, kP));
    base[2 * kP - 1] = std::byte{1};
    EXPECT_EQ(reinterpret_cast<unsigned (*)()>(code)(), 0x11223344u) << before;
    EXPECT_FALSE(VirtualUnlock(base, 2 * kP));
    EXPECT_EQ(reinterpret_cast<unsigned (*)()>(code)(), 0x11223344u) << before;
  }
  Release(base);
#else
  GTEST_SKIP() << "no instruction of this processor lies on two pages";
#endif
}

}  // namespace
}  // namespace userpager_tests
