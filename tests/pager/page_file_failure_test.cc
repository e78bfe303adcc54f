// A page file that fails: what is lost is exactly what the device lost, and is never answered with
// zeros; all else goes on.
#include <signal.h>

#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/corrupt_slot.h"
#include "tests/support/failing_engine.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 256;
constexpr uint64_t kPages = 64;

// Does only half of every third transfer of more than one page, and says so.
class HalvingEngine : public IoEngine {
 public:
  explicit HalvingEngine(IoEngine* inner) : inner_(inner) {}

  Errno Open() override { return inner_->Open(); }
  unsigned capacity() const override { return inner_->capacity(); }
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t bytes, uint64_t tag) override {
    inner_->SubmitMessageRead(descriptor, buffer, bytes, tag);
  }
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override {
    return inner_->Wait(completions, timeout_ns);
  }
  void Submit(const IoRequest& request) override {
    uint64_t bytes = 0;
    for (const iovec& part : request.parts) bytes += part.iov_len;
    if (bytes <= kPageBytes || ++large_ % 3 != 0) {
      inner_->Submit(request);
      return;
    }
    ++halved_[request.direction == IoDirection::kWrite];
    std::vector<iovec>& cut = cuts_[request.tag];
    cut.clear();
    uint64_t left = RoundDown(bytes / 2, kPageBytes);
    for (const iovec& part : request.parts) {
      if (left == 0) break;
      cut.push_back({part.iov_base, std::min<uint64_t>(part.iov_len, left)});
      left -= cut.back().iov_len;
    }
    IoRequest half = request;
    half.parts = cut;
    inner_->Submit(half);
  }
  unsigned halved_reads() const { return halved_[0].load(); }
  unsigned halved_writes() const { return halved_[1].load(); }

 private:
  IoEngine* const inner_;
  unsigned large_ = 0;
  std::atomic<unsigned> halved_[2] = {0, 0};
  std::map<uint64_t, std::vector<iovec>> cuts_;
};

class PageFileFailure : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    Start([](IoEngine* inner) -> IoEngine* {
      failing_ = std::make_unique<FailingEngine>(inner, FailurePlan{}, 1);
      return failing_.get();
    });
  }
  void Start(IoEngine* (*wrap)(IoEngine*)) {
    PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
    options.wrap_engine = wrap;
    pager_ = std::make_unique<RunningPager>();
    if (!pager_->Start(options)) GTEST_SKIP() << pager_->why();
    vad_ = pager_->Reserve(kPages);
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, 0);
  }
  void TearDown() override {
    pager_ = nullptr;
    failing_ = nullptr;
    halving_ = nullptr;
  }

  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  bool IsRight(uint64_t i) const {
    return stress::FirstWrongWord(WordsOf(At(i)), i, 0) == stress::kWordsInPage;
  }
  // How many pages hold what they should, those in `except` not looked at.
  uint64_t RightPages(uint64_t except = kPages) const {
    uint64_t right = 0;
    for (uint64_t i = 0; i < kPages; ++i) right += i != except && IsRight(i);
    return right;
  }
  uint64_t Usable() { return (*pager_)->page_file().usable().value(); }

  // Expects that page `i`, whose slot is `slot`, is lost, and that `log` says so.
  void ExpectLost(uint64_t i, SlotIndex slot, const std::string& log) {
    const AccessOutcome again = TryRead(PointerTo(At(i)));
    EXPECT_EQ(again.signal, SIGBUS);
    EXPECT_EQ(again.address, AddressOf(At(i)));
    EXPECT_EQ(TryWrite(PointerTo(At(i)), 1).signal, SIGBUS);
    EXPECT_EQ(pager_->Counters().lost_pages.value(), 1u);
    EXPECT_EQ(RightPages(i), kPages - 1);
    std::ostringstream address;
    address << "0x" << std::hex << AddressOf(At(i));
    for (const std::string& part :
         {address.str(), "slot " + std::to_string(slot.value()),
          "offset " + std::to_string((*pager_)->page_file().OffsetOf(slot))}) {
      EXPECT_NE(log.find(part), std::string::npos) << part << " is not in: " << log;
    }
    // A new page at the address is as good as any.
    const PageRange one(At(i), PageCount(1));
    (*pager_)->Decommit(*vad_, one);
    EXPECT_EQ(TryRead(PointerTo(At(i))).signal, SIGSEGV);
    ASSERT_EQ((*pager_)->Commit(*vad_, one, kReadWrite), 0);
    EXPECT_EQ(TryRead(PointerTo(At(i))).signal, 0);
    EXPECT_EQ(FirstWord(At(i)), 0u);
    EXPECT_TRUE((*pager_)->CheckConsistency());
  }

  std::unique_ptr<RunningPager> pager_;
  Vad* vad_ = nullptr;
  static inline std::unique_ptr<FailingEngine> failing_;
  static inline std::unique_ptr<HalvingEngine> halving_;
};

// Which slot of many is bad shows when each is written alone: only that one is retired.
TEST_P(PageFileFailure, WritesFail) {
  const uint64_t usable = Usable();
  const uint64_t promise = (*pager_)->CommitLimitNow().value();
  failing_->FailNextWrites(2);
  testing::internal::CaptureStderr();
  const bool out = pager_->PushOut(*vad_);
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(out) << log;
  EXPECT_EQ(pager_->Counters().file_write_errors.value(), 2u);
  EXPECT_NE(log.find("(EIO)"), std::string::npos) << log;
  EXPECT_EQ(Usable() + 1, usable);
  // A promise counts what is really there.
  EXPECT_EQ((*pager_)->CommitLimitNow().value() + 1, promise);
  EXPECT_EQ(RightPages(), kPages);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

// What is in memory again because its write failed may be written no more than before.
TEST_P(PageFileFailure, WritesOfReadOnlyPagesFail) {
  ASSERT_EQ((*pager_)->Protect(*vad_, vad_->range, kReadOnly), 0);
  failing_->FailNextWrites(1);
  testing::internal::CaptureStderr();
  const bool failed =
      pager_->PressUntil([&] { return pager_->Counters().file_write_errors.value() > 0; });
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(failed) << log;
  uint64_t in_memory = 0;
  for (uint64_t i = 0; i < kPages; ++i) {
    in_memory += vad_->Load(At(i)).state() != PageState::kPagedOut;
    EXPECT_EQ(TryWrite(PointerTo(At(i)), 1).signal, SIGSEGV) << i;
  }
  EXPECT_GT(in_memory, 0u);
  EXPECT_EQ(RightPages(), kPages);
  ASSERT_TRUE(pager_->PushOut(*vad_));
  EXPECT_EQ(RightPages(), kPages);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

TEST_P(PageFileFailure, ReadFailsTwiceThenWorks) {
  ASSERT_TRUE(pager_->PushOut(*vad_));
  failing_->FailNextReads(2);
  EXPECT_EQ(RightPages(), kPages);
  EXPECT_EQ(pager_->Counters().file_read_errors.value(), 2u);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
}

TEST_P(PageFileFailure, ReadFailsForGood) {
  constexpr uint64_t kLost = kPages / 2;
  ASSERT_TRUE(pager_->PushOut(*vad_));
  const uint64_t usable = Usable();
  const SlotIndex slot = vad_->Load(At(kLost)).slot();
  failing_->FailNextReads(3);
  testing::internal::CaptureStderr();
  const AccessOutcome read = TryRead(PointerTo(At(kLost)));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(read.signal, SIGBUS);
  EXPECT_EQ(Usable() + 1, usable);
  EXPECT_NE(log.find("(EIO)"), std::string::npos) << log;
  ExpectLost(kLost, slot, log);
}

// One bit on the way: the second reading brings the page.
TEST_P(PageFileFailure, ReadIsCorruptOnce) {
  ASSERT_TRUE(pager_->PushOut(*vad_));
  failing_->CorruptNextReads(1);
  EXPECT_EQ(RightPages(), kPages);
  EXPECT_EQ(pager_->Counters().file_read_errors.value(), 1u);
}

// One bit in the file itself, while it is in use.
TEST_P(PageFileFailure, FileIsCorrupt) {
  constexpr uint64_t kLost = 5;
  ASSERT_TRUE(pager_->PushOut(*vad_));
  const SlotIndex slot = vad_->Load(At(kLost)).slot();
  ASSERT_NO_FATAL_FAILURE(CorruptSlot((*pager_)->page_file(), slot));
  testing::internal::CaptureStderr();
  const AccessOutcome read = TryRead(PointerTo(At(kLost)));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(read.signal, SIGBUS);
  EXPECT_NE(log.find("checksum"), std::string::npos) << log;
  ExpectLost(kLost, slot, log);
}

// The same of pages in the middle of long reads, of which several threads each check and install a
// part: what is around them arrives.
TEST_P(PageFileFailure, FileIsCorruptInTheMiddleOfAStream) {
  constexpr uint64_t kMany = 1024;
  const std::set<uint64_t> bad = {kMany / 2 - 1, kMany / 2 + 2, kMany / 2 + 35};
  // With buffers for reads of full length.
  ASSERT_EQ((*pager_)->SetMemoryLimit(PageCount(8 * kMany)), 0);
  vad_ = pager_->Reserve(kMany);
  for (uint64_t i = 0; i < kMany; ++i) stress::FillPage(WordsOf(At(i)), i, 0);
  ASSERT_TRUE(pager_->PushOut(*vad_));
  for (const uint64_t i : bad) {
    ASSERT_NO_FATAL_FAILURE(CorruptSlot((*pager_)->page_file(), vad_->Load(At(i)).slot()));
  }
  for (uint64_t i = 0; i < kMany; ++i) ASSERT_TRUE(bad.contains(i) || IsRight(i)) << i;
  EXPECT_GE(pager_->Counters().ahead_pages.value(), kMany / 2);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  testing::internal::CaptureStderr();
  for (const uint64_t i : bad) EXPECT_EQ(TryRead(PointerTo(At(i))).signal, SIGBUS) << i;
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(pager_->Counters().lost_pages.value(), bad.size()) << log;
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

// Read ahead of demand, a page that cannot be read is not lost: whoever wants it asks for it alone.
TEST_P(PageFileFailure, ReadAheadFails) {
  ASSERT_TRUE(pager_->PushOut(*vad_));
  uint64_t right = 0;
  for (uint64_t i = 0; i < kPages; ++i) {
    // Every request fails the first time that it is made.
    if (vad_->Load(At(i)).state() == PageState::kPagedOut) failing_->FailNextReads(1);
    right += IsRight(i);
  }
  EXPECT_EQ(right, kPages);
  EXPECT_GT(pager_->Counters().file_read_errors.value(), 1u);
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  failing_->FailNextReads(0);
}

class ShortTransfers : public PageFileFailure {
 protected:
  void SetUp() override {
    Start([](IoEngine* inner) -> IoEngine* {
      halving_ = std::make_unique<HalvingEngine>(inner);
      return halving_.get();
    });
  }
};

TEST_P(ShortTransfers, NothingIsLost) {
  testing::internal::CaptureStderr();
  for (unsigned round = 0; round < 8; ++round) {
    ASSERT_TRUE(pager_->PushOut(*vad_));
    EXPECT_EQ(RightPages(), kPages);
    // Dirty again, with the same content.
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, 0);
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_GT(halving_->halved_writes(), 0u);
  EXPECT_GT(halving_->halved_reads(), 0u);
  EXPECT_NE(log.find("bytes were taken"), std::string::npos) << log;
  EXPECT_EQ(pager_->Counters().lost_pages.value(), 0u);
  EXPECT_TRUE((*pager_)->CheckConsistency());
}

const auto kRoads = testing::Values(Road{true, IoEngineKind::kUring, 1},
                                    Road{false, IoEngineKind::kUring, 1});
const auto NameOf = [](const auto& tested) { return tested.param.Name(); };
INSTANTIATE_TEST_SUITE_P(Roads, PageFileFailure, kRoads, NameOf);
INSTANTIATE_TEST_SUITE_P(Roads, ShortTransfers, kRoads, NameOf);

}  // namespace
}  // namespace userpager
