// A disk that fails for real: the kernel's own reads and writes of the page file end with EIO, or
// bring what was changed on the disk. No page is lost by a write, and by a read none but that one.
#include <errno.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "runtime/pager/shard.h"
#include "tests/stress/page_content.h"
#include "tests/support/counted.h"
#include "tests/support/eventually.h"
#include "tests/support/failing_disk.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kDiskBytes = uint64_t{256} << 20;
constexpr uint64_t kLimitPages = 256;
constexpr uint64_t kPages = 4 * kLimitPages;

class FailingDiskTest : public testing::TestWithParam<Road> {
 protected:
  // True where there is such a disk, and a pager on it with every page filled.
  bool Begin(unsigned write_percent) {
    disk_ = std::make_unique<FailingDisk>(kDiskBytes, write_percent);
    if (!disk_->problem().empty()) {
      why_ = "SKIPPED: " + disk_->problem();
      return false;
    }
    PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
    options.page_file_path = disk_->path();
    pager_ = std::make_unique<RunningPager>();
    if (!pager_->Start(options)) {
      why_ = pager_->why();
      return false;
    }
    vad_ = pager_->Reserve(kPages);
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, 0);
    return true;
  }
  // Whatever a test has left, the disk works again when the pager ends.
  void TearDown() override {
    if (vad_ != nullptr) {
      const CounterTotals& totals = pager_->Counters();
      Counted("faults_injected",
              totals.file_write_errors.value() + totals.file_read_errors.value());
    }
    pager_ = nullptr;
    disk_ = nullptr;
  }

  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  uint64_t WrongPages(uint32_t generation, uint64_t except = kPages) const {
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < kPages; ++i) {
      if (i == except) continue;
      wrong += stress::FirstWrongWord(WordsOf(At(i)), i, generation) != stress::kWordsInPage;
    }
    return wrong;
  }
  uint64_t Usable() { return (*pager_)->page_file().usable().value(); }

  // Expects that page `i` alone is lost, and that the line names it, its slot and its place.
  void ExpectLost(uint64_t i, SlotIndex slot, const char* reason) {
    testing::internal::CaptureStderr();
    const AccessOutcome read = TryRead(PointerTo(At(i)));
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(read.signal, SIGBUS);
    EXPECT_EQ(read.address, AddressOf(At(i)));
    std::ostringstream address;
    address << "0x" << std::hex << AddressOf(At(i));
    for (const std::string& part :
         {address.str(), "slot " + std::to_string(slot.value()),
          "offset " + std::to_string((*pager_)->page_file().OffsetOf(slot)), std::string(reason)}) {
      EXPECT_NE(log.find(part), std::string::npos) << part << " is not in: " << log;
    }
  }

  std::unique_ptr<FailingDisk> disk_;
  std::unique_ptr<RunningPager> pager_;
  Vad* vad_ = nullptr;
  std::string why_;
};

// Nothing can be written for a while: a program that wants more memory than there is waits, no page
// is lost, no more is promised than what memory holds, and when the disk is back all goes on.
TEST_P(FailingDiskTest, NoWriteSucceedsForAWhile) {
  if (!Begin(100)) GTEST_SKIP() << why_;
  const uint64_t promise = (*pager_)->CommitLimitNow().value();
  testing::internal::CaptureStderr();
  disk_->FailWrites(true);
  std::atomic<bool> written{false};
  std::thread writer([&] {
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, 1);
    written = true;
  });
  EXPECT_TRUE(Eventually([&] { return (*pager_)->page_file().refuses(); }));
  EXPECT_FALSE(written);
  EXPECT_LE((*pager_)->CommitLimitNow().value(),
            kLimitPages + (*pager_)->page_file().used().value());
  EXPECT_EQ((*pager_)->GrowPageFile(PageCount(Usable() + 1)), ENOSPC);
  disk_->FailWrites(false);
  writer.join();
  EXPECT_EQ(WrongPages(1), 0u);
  EXPECT_TRUE(pager_->PushOut(*vad_));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("(EIO)"), std::string::npos) << log;
  EXPECT_FALSE((*pager_)->page_file().refuses());
  // What the disk refused for itself is not held against its slots for ever: of all that failed, a
  // few slots are gone. (Writes that were under way when the disk came back may end later, and
  // begin a row of failures of their own.)
  EXPECT_GE((*pager_)->CommitLimitNow().value() + 4 * Shard::kSlotFailures, promise);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

// Each third write fails: every page gets a slot that takes it, in the end.
TEST_P(FailingDiskTest, SomeWritesFail) {
  if (!Begin(33)) GTEST_SKIP() << why_;
  const uint64_t usable = Usable();
  testing::internal::CaptureStderr();
  disk_->FailWrites(true);
  uint64_t wrong = 0;
  // Which writes fail is chance; that some do is not left to it.
  for (uint32_t round = 1; round <= 50 && wrong == 0 && Usable() == usable; ++round) {
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, round);
    wrong = WrongPages(round);
  }
  disk_->FailWrites(false);
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(pager_->Counters().file_write_errors.value(), 0u);
  EXPECT_LT(Usable(), usable);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

TEST_P(FailingDiskTest, ReadsFailForAWhile) {
  if (!Begin(100)) GTEST_SKIP() << why_;
  constexpr uint64_t kLost = 700;
  ASSERT_TRUE(pager_->PushOut(*vad_));
  const SlotIndex slot = vad_->Load(At(kLost)).slot();
  disk_->FailReads(true);
  ExpectLost(kLost, slot, "(EIO)");
  disk_->FailReads(false);
  EXPECT_EQ(WrongPages(0, kLost), 0u);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 1u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

// Bits change on the disk while the file is in use.
TEST_P(FailingDiskTest, ABitFlipsOnTheDisk) {
  if (!Begin(100)) GTEST_SKIP() << why_;
  constexpr uint64_t kFlipped[] = {3, 500, kPages - 1};
  ASSERT_TRUE(pager_->PushOut(*vad_));
  SlotIndex slots[3];
  for (unsigned i = 0; i < 3; ++i) {
    slots[i] = vad_->Load(At(kFlipped[i])).slot();
    disk_->FlipBit((*pager_)->page_file().OffsetOf(slots[i]) + 1000 * (i + 1), i + 2);
  }
  for (unsigned i = 0; i < 3; ++i) ExpectLost(kFlipped[i], slots[i], "checksum");
  for (uint64_t i = 0; i < kPages; ++i) {
    if (i == kFlipped[0] || i == kFlipped[1] || i == kFlipped[2]) continue;
    ASSERT_EQ(stress::FirstWrongWord(WordsOf(At(i)), i, 0), stress::kWordsInPage) << i;
  }
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 3u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

INSTANTIATE_TEST_SUITE_P(Roads, FailingDiskTest,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kThreads, 1},
                                         Road{true, IoEngineKind::kThreads, 1,
                                              FaultDelivery::kMessages,
                                              ReplacementKind::kAdaptive, true}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
