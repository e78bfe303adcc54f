// The rules of a pager that loses no data, each made to happen on the real kernel. Rules that other
// files have their cases of: short counts in tests/platform; late completions, frames that are
// being written and waiters of a release in under_way_test.cc; traps in access_violation_test.cc;
// promises in page_file_failure_test.cc; locked pages in lock_pages_test.cc.
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/page_file/uring_engine.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/linux_page_platform.h"
#include "tests/support/gated_pager.h"
#include "tests/support/sanitizers.h"

namespace userpager {

class ShardTestPeer {
 public:
  static PageRange Parking(Shard& shard) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shard.parking_[0].range();
  }
};

namespace {

class ProtocolRules : public GatedPager {
 protected:
  void SetUp() override {
    GatedPager::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_EQ(pipe(pipe_), 0);
  }
  void TearDown() override {
    for (const int end : pipe_) {
      if (end >= 0) close(end);
    }
    GatedPager::TearDown();
  }
  uint64_t Faults(FaultKind kind) {
    return pager_->Counters().faults[static_cast<unsigned>(kind)].value();
  }

  int pipe_[2] = {-1, -1};
};

class ProtocolRulesOfMove : public ProtocolRules {};

// The mappings of the process that overlap the range.
size_t MappingsIn(PageRange range) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    char* next = nullptr;
    const uint64_t begin = std::strtoull(line.c_str(), &next, 16);
    const uint64_t end = std::strtoull(next + 1, nullptr, 16);
    count += begin < AddressOf(range.end) && end > AddressOf(range.begin);
  }
  return count;
}

// Rule 1: a system call with a signal pending does not sleep in its fault but asks again and again.
TEST_P(ProtocolRules, Rule1FloodOfMessagesAboutOnePage) {
  if (!(*pager_)->features().kernel_faults) {
    GTEST_SKIP() << "needs the right to have faults of system calls answered (CAP_SYS_PTRACE)";
  }
  constexpr unsigned kThreads = 4;
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  Vad* vad = ReserveFilled();
  Vad* other = ReserveFilled();
  ASSERT_TRUE(pager_->PushOut(*other));
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  const uint64_t hard_before = Faults(FaultKind::kHard);
  std::atomic<unsigned> sent{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] { sent += write(pipe_[1], PointerTo(vad->range.begin), 64) == 64; });
  }
  for (std::thread& thread : threads) EXPECT_EQ(pthread_kill(thread.native_handle(), SIGUSR1), 0);
  // The shard has not stopped listening to others.
  EXPECT_TRUE(IsFilled(other->range.begin));
  OpenGates();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sent.load(), kThreads);
  uint64_t words[8];
  for (unsigned t = 0; t < kThreads; ++t) {
    ASSERT_EQ(read(pipe_[0], words, sizeof words), static_cast<ssize_t>(sizeof words));
    EXPECT_EQ(words[7], stress::ContentWord(stress::ContentKey(7, 1), 7));
  }
  EXPECT_EQ(reader->Join().signal, 0);
  EXPECT_LE(Faults(FaultKind::kHard), hard_before + 2);
  EXPECT_TRUE(IsSound());
  sigaction(SIGUSR1, &before, nullptr);
}

// Rule 3: runs of zeros grow while touches are sequential, and end at what wants something else.
TEST_P(ProtocolRules, Rule3RunsEndAtOtherPages) {
  constexpr uint64_t kPages = 128;
  Vad* vad = pager_->Reserve(kPages);
  for (uint64_t i = 7; i < kPages; i += 8) {
    const Protection protection = i % 16 == 7 ? kNoAccess : kReadOnly;
    const PageRange one(vad->range.begin + PageCount(i), PageCount(1));
    ASSERT_EQ((*pager_)->Protect(*vad, one, protection), 0);
  }
  const uint64_t zero_faults = Faults(FaultKind::kDemandZero);
  for (uint64_t i = 0; i < kPages; ++i) {
    const PageIndex page = vad->range.begin + PageCount(i);
    const AccessOutcome write = TryWrite(PointerTo(page), i);
    EXPECT_EQ(write.signal, i % 8 == 7 ? SIGSEGV : 0) << i;
    if (i % 16 == 7) {
      EXPECT_FALSE(vad->Load(page).mapped()) << i;
    }
  }
  EXPECT_LT(Faults(FaultKind::kDemandZero), zero_faults + kPages * 7 / 8);
  for (uint64_t i = 0; i < kPages; ++i) {
    if (i % 16 == 7) continue;
    EXPECT_EQ(FirstWord(vad->range.begin + PageCount(i)), i % 8 == 7 ? 0 : i);
  }
  EXPECT_TRUE(IsSound());
}

// Rules 4, 5 and 8: somebody else's memory at the address of a read that is still under way.
TEST_P(ProtocolRules, Rule5AddressOfSomebodyElse) {
  Vad* vad = ReserveFilled(16);
  const PageRange range = vad->range;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  pager_->Release(vad);
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  void* theirs = mmap(PointerTo(range.begin), BytesOf(range.count()), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(theirs, PointerTo(range.begin));
  WordsOf(range.begin)[1] = 3;
  OpenGates();
  EXPECT_EQ(WordsOf(range.begin)[0], 0u);
  EXPECT_EQ(WordsOf(range.begin)[1], 3u);
  EXPECT_TRUE(IsSound());
  munmap(theirs, BytesOf(range.count()));
}

// Rule 10: what a pipe got by reference is not refilled with another page's content.
TEST_P(ProtocolRules, Rule10ParkedFramesAreNotRefilled) {
  Vad* vad = ReserveFilled();
  iovec part{PointerTo(vad->range.begin), kPageBytes};
  ASSERT_EQ(vmsplice(pipe_[1], &part, 1, 0), static_cast<ssize_t>(kPageBytes));
  ASSERT_TRUE(pager_->PushOut(*vad));
  // Everything in memory changes several times.
  unsigned presses = 0;
  ASSERT_TRUE(pager_->PressUntil([&] { return ++presses > 4 * kLimitPages; }));
  std::vector<uint64_t> words(stress::kWordsInPage);
  ASSERT_EQ(read(pipe_[0], words.data(), kPageBytes), static_cast<ssize_t>(kPageBytes));
  EXPECT_EQ(stress::FirstWrongWord(words.data(), 7, 1), stress::kWordsInPage);
  EXPECT_TRUE(IsFilled(vad->range.begin));
}

// Rule 12: a page that a device may write to at any time stays, is counted, and leaves when it may.
// (Without UFFDIO_MOVE a pin cannot be seen.)
TEST_P(ProtocolRulesOfMove, Rule12PinnedPagesStay) {
  Vad* vad = ReserveFilled();
  io_uring ring{};
  const int opened = io_uring_queue_init(4, &ring, 0);
  if (opened < 0) GTEST_SKIP() << "needs io_uring: " << strerror(-opened);
  const iovec part{PointerTo(vad->range.begin), kPageBytes};
  ASSERT_EQ(io_uring_register_buffers(&ring, &part, 1), 0);
  Trim(vad);
  EXPECT_EQ(StateOf(vad), PageState::kActiveDirty);
  EXPECT_GE(pager_->Counters().pinned_pages.value(), 1u);
  unsigned presses = 0;
  ASSERT_TRUE(pager_->PressUntil([&] { return ++presses > 4 * kLimitPages; }));
  EXPECT_EQ(SettledStateOf(vad), PageState::kActiveDirty);
  EXPECT_TRUE(IsFilled(vad->range.begin));
  ASSERT_EQ(io_uring_unregister_buffers(&ring), 0);
  io_uring_queue_exit(&ring);
  EXPECT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilled(vad->range.begin));
}

// Rule 12: nothing of a pinned page can be reached once it allows no access.
TEST_P(ProtocolRules, Rule12PinnedPagesCanBeHidden) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  const iovec part{PointerTo(page), kPageBytes};
  io_uring ring{};
  const int opened = io_uring_queue_init(4, &ring, 0);
  if (opened < 0) GTEST_SKIP() << "needs io_uring: " << strerror(-opened);
  ASSERT_EQ(io_uring_register_buffers(&ring, &part, 1), 0);
  Protect(vad, kNoAccess);
  EXPECT_EQ(TryRead(PointerTo(page)).signal, SIGSEGV);
  EXPECT_EQ(TryWrite(PointerTo(page), 1).signal, SIGSEGV);
  EXPECT_TRUE(IsSound());
  Protect(vad, kReadOnly);
  EXPECT_TRUE(IsFilled(page));
  EXPECT_EQ(TryWrite(PointerTo(page), 1).signal, SIGSEGV);
  Protect(vad, kReadWrite);
  EXPECT_EQ(TryWrite(PointerTo(page), 2).signal, 0);
  EXPECT_TRUE(IsFilledBut(page, 2));
  Protect(vad, kNoAccess);
  Decommit(vad);
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  io_uring_queue_exit(&ring);
  EXPECT_TRUE(IsSound());
}

// Rule 22: committing spans in any order ends as few mappings.
TEST_P(ProtocolRules, Rule22MappingsJoinAgain) {
  constexpr uint64_t kSpanPages = kProtectionSpanBytes / kPageBytes;
  constexpr uint64_t kSpans = 64;
  Vad* vad = pager_->Reserve(kSpans * kSpanPages, kReadWrite, false);
  for (const uint64_t first : {0u, 1u}) {
    for (uint64_t span = first; span < kSpans; span += 2) {
      const PageIndex page = vad->range.begin + PageCount(span * kSpanPages);
      ASSERT_EQ((*pager_)->Commit(*vad, PageRange(page, PageCount(kSpanPages)), kReadWrite), 0);
      FirstWord(page) = span;
    }
  }
  EXPECT_LE(MappingsIn(vad->range), 3u);
  for (uint64_t span = 0; span < kSpans; ++span) {
    EXPECT_EQ(FirstWord(vad->range.begin + PageCount(span * kSpanPages)), span);
  }
}

// Rule 23: a reservation of any size costs a bounded number of stripes and mappings.
TEST_P(ProtocolRules, Rule23StripesGrowWithTheReservation) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer leaves no such address space";
  constexpr uint64_t kPages = (uint64_t{16} << 40) / kPageBytes;
  Vad* vad = pager_->Reserve(kPages, kReadWrite, false);
  ASSERT_NE(vad, nullptr);
  EXPECT_LE(vad->stripes.size(), 16u);
  EXPECT_LE(MappingsIn(vad->range), 16u);
  const PageRange last(vad->range.end - PageCount(1), PageCount(1));
  ASSERT_EQ((*pager_)->Commit(*vad, last, kReadWrite), 0);
  FirstWord(last.begin) = 23;
  EXPECT_EQ(FirstWord(last.begin), 23u);
}

INSTANTIATE_TEST_SUITE_P(Roads, ProtocolRulesOfMove,
                         testing::Values(Road{true, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });
INSTANTIATE_TEST_SUITE_P(Roads, ProtocolRules,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

// Rule 11: a parked page that is gone would read as zeros; the runtime stops instead.
TEST(ProtocolRulesDeathTest, Rule11MissingParkedPage) {
  LinuxPagePlatform platform;
  LogLine line;
  ShardOptions options;
  const Errno probed = ProbeFeatures(&options.features, &line);
  if (probed == EPERM || probed == ENOSYS) GTEST_SKIP() << line.c_str();
  ASSERT_EQ(probed, 0) << line.c_str();
  ASSERT_EQ(platform.Open(options.features, &line), 0) << line.c_str();
  options.most_frames = PageCount(1024);
  UringEngine engine;
  FrameLedger ledger;
  ledger.set_limit(PageCount(256));
  PageFile page_file;
  HelperThread helper;
  const auto shard =
      std::make_unique<Shard>(options, ShardParts{platform, engine, ledger, page_file, helper});
  ASSERT_EQ(shard->Init(), 0);
  FaultMessage message;
  message.address = AddressOf(ShardTestPeer::Parking(*shard).begin);
  EXPECT_DEATH((void)shard->Step({&message, 1}, {}), "a parked page is missing");
}

// Rule 13: with the smallest memory there is, and everything wanted at a time, it still goes on.
TEST(Progress, Rule13SmallestLimit) {
  for (const bool move : {true, false}) {
    constexpr unsigned kThreads = 4;
    constexpr uint64_t kPagesEach = 64;
    RunningPager pager;
    const Road road{move, IoEngineKind::kUring, 1};
    const uint64_t limit = Pager::SmallestMemoryLimit(1).value();
    if (!pager.Start(RunningPager::Options(road, limit))) GTEST_SKIP() << pager.why();
    Vad* vad = pager.Reserve(kThreads * kPagesEach);
    std::atomic<uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (uint32_t generation = 0; generation < 4; ++generation) {
          for (uint64_t i = t; i < kThreads * kPagesEach; i += kThreads) {
            uint64_t* words = WordsOf(vad->range.begin + PageCount(i));
            if (generation > 0) {
              wrong += stress::FirstWrongWord(words, i, generation - 1) != stress::kWordsInPage;
            }
            stress::FillPage(words, i, generation);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_LE(pager->frames().peak().value(), limit);
  }
}

}  // namespace
}  // namespace userpager
