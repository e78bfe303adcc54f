// 32 MiB of random content in 8 MiB of memory, by every road: no wrong byte, nothing over the
// limit, nothing left over.
#include <atomic>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/stress/resident_size.h"
#include "tests/support/running_pager.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = (uint64_t{8} << 20) / kPageBytes;
constexpr uint64_t kPages = (uint64_t{32} << 20) / kPageBytes;
constexpr uint64_t kStripePages = (uint64_t{1} << 30) / kPageBytes;
constexpr unsigned kThreads = 4;

// Lets VmHWM begin anew at what is resident now (proc(5), clear_refs).
void ForgetPeak() {
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
}

class OutOfCore : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    if (!pager_.Start(RunningPager::Options(GetParam(), kLimitPages))) GTEST_SKIP() << pager_.why();
    // Spread over address space, so that the pages belong to several shards where there are some.
    vad_ = pager_.Reserve(kStripePages * 3);
    ASSERT_NE(vad_, nullptr);
  }

  // The pages in use lie in three equal parts of the reservation.
  PageIndex PageAt(uint64_t i) const {
    const uint64_t part = i / (kPages / 3 + 1);
    return vad_->range.begin + PageCount(part * kStripePages + i % (kPages / 3 + 1));
  }
  void Fill(uint64_t i, uint32_t generation) {
    stress::FillPage(WordsOf(PageAt(i)), i, generation);
  }
  // The number of wrong words of the page, counted up to the first.
  bool IsRight(uint64_t i, uint32_t generation) const {
    return stress::FirstWrongWord(WordsOf(PageAt(i)), i, generation) == stress::kWordsInPage;
  }
  void ExpectSound(const char* phase) {
    EXPECT_TRUE(pager_->CheckConsistency()) << phase;
    EXPECT_LE(pager_->frames().peak().value(), kLimitPages) << phase;
  }

  RunningPager pager_;
  Vad* vad_ = nullptr;
};

TEST_P(OutOfCore, NoWrongByteInAnyOrder) {
  ForgetPeak();
  const uint64_t resident_before = stress::ReadResidentSize().now_bytes;
  std::atomic<uint64_t> wrong{0};
  for (uint64_t i = 0; i < kPages; ++i) Fill(i, 0);
  ExpectSound("fill");
  for (uint64_t i = 0; i < kPages; ++i) wrong += !IsRight(i, 0);
  ExpectSound("sequential");
  for (uint64_t i = kPages; i-- > 0;) wrong += !IsRight(i, 0);
  ExpectSound("reverse");
  std::mt19937_64 random(TestSeed());
  std::vector<uint32_t> generations(kPages, 0);
  for (unsigned k = 0; k < 3000; ++k) {
    const uint64_t i = random() % kPages;
    wrong += !IsRight(i, generations[i]);
    if (random() % 2 == 0) Fill(i, ++generations[i]);
  }
  ExpectSound("random");
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Interleaved, so that threads share runs of neighbours; every page has one writer.
      for (uint64_t i = t; i < kPages; i += kThreads) {
        wrong += !IsRight(i, generations[i]);
        if (i % 3 == 0) Fill(i, ++generations[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectSound("threads");
  for (uint64_t i = 0; i < kPages; ++i) wrong += !IsRight(i, generations[i]);
  ExpectSound("at the end");
  EXPECT_EQ(wrong.load(), 0u);
  const uint64_t peak = stress::ReadResidentSize().peak_bytes;
  // ThreadSanitizer's shadow memory grows along, and says nothing about the pager.
  if (!kThreadSanitizer) {
    EXPECT_LE(peak, resident_before + (kLimitPages << kPageShift) + (uint64_t{8} << 20));
  }
  const CounterTotals& counters = pager_.Counters();
  EXPECT_GE(counters.pages_out.value(), kPages - kLimitPages);
  EXPECT_GE(counters.pages_in.value(), 2 * (kPages - kLimitPages));
  EXPECT_EQ(counters.lost_pages.value(), 0u);
  EXPECT_EQ(counters.file_read_errors.value(), 0u);
}

// A page that is only read leaves without a write: what is out, and was in memory in between, is in
// the slot where it was.
TEST_P(OutOfCore, CleanPagesLeaveWithoutAWrite) {
  constexpr uint64_t kFew = kLimitPages * 2;
  for (uint64_t i = 0; i < kFew; ++i) Fill(i, 0);
  std::vector<SlotIndex> slots(kFew, kNoSlot);
  const auto slot_of = [&](uint64_t i) {
    const Pte pte = vad_->Load(PageAt(i));
    return pte.state() == PageState::kPagedOut ? pte.slot() : kNoSlot;
  };
  uint64_t wrong = 0;
  uint64_t compared = 0;
  uint64_t moved = 0;
  for (unsigned round = 0; round < 4; ++round) {
    for (uint64_t i = 0; i < kFew; ++i) wrong += !IsRight(i, 0);
    for (uint64_t i = 0; i < kFew; ++i) {
      const SlotIndex slot = slot_of(i);
      if (slot == kNoSlot) continue;
      compared += slots[i] != kNoSlot;
      moved += slots[i] != kNoSlot && slots[i] != slot;
      slots[i] = slot;
    }
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(moved, 0u);
  EXPECT_GT(compared, kFew / 4);
}

// Pages of zeros take no slot, also those that held something else before.
TEST_P(OutOfCore, ZerosTakeNoSlot) {
  constexpr uint64_t kFew = 64;
  for (uint64_t i = 0; i < kFew; ++i) Fill(i, 0);
  for (uint64_t i = 0; i < kFew; ++i) {
    for (size_t k = 0; k < stress::kWordsInPage; ++k) WordsOf(PageAt(i))[k] = 0;
  }
  ASSERT_TRUE(pager_.PushOut(*vad_, PageRange(PageAt(0), PageCount(kFew))));
  uint64_t zeros = 0;
  for (uint64_t i = 0; i < kFew; ++i) {
    zeros += vad_->Load(PageAt(i)).state() == PageState::kDemandZero;
  }
  // A page may have been on its way out before its last word was cleared.
  EXPECT_GE(zeros, kFew / 2);
  EXPECT_GE(pager_.Counters().zero_pages_dropped.value(), kFew / 2);
  for (uint64_t i = 0; i < kFew; ++i) EXPECT_EQ(FirstWord(PageAt(i)), 0u);
}

constexpr FaultDelivery kMessages = FaultDelivery::kMessages;
constexpr ReplacementKind kAdaptive = ReplacementKind::kAdaptive;
constexpr ReplacementKind kFifo = ReplacementKind::kFifo;
constexpr ReplacementKind kClock = ReplacementKind::kClock;
INSTANTIATE_TEST_SUITE_P(Roads, OutOfCore,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kThreads, 1},
                                         Road{true, IoEngineKind::kUring, 3},
                                         Road{true, IoEngineKind::kUring, 1, kMessages, kFifo},
                                         Road{true, IoEngineKind::kUring, 1, kMessages, kClock},
                                         Road{false, IoEngineKind::kUring, 1, kMessages, kFifo},
                                         Road{false, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kThreads, 1},
                                         Road{false, IoEngineKind::kUring, 3},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals},
                                         Road{true, IoEngineKind::kUring, 3, kMessages, kAdaptive,
                                              true},
                                         Road{false, IoEngineKind::kThreads, 1, kMessages,
                                              kAdaptive, true},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals, kAdaptive, true}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
