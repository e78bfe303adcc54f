// The watchdog: each kind of trouble that it is there for, made to happen, and no false alarm where
// there is none. It looks every few milliseconds here.
#include "runtime/pager/watchdog.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "runtime/frames/parking_area.h"
#include "tests/support/captured_log.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"
#include "tests/support/sanitizers.h"

namespace userpager {
namespace {

constexpr uint64_t kPeriodNs = 5'000'000;
constexpr const char* kForgotten = "with nothing under way that would have answered them";

// This process's userfaultfd: there is one.
int UserfaultDescriptor() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (target == "anon_inode:[userfaultfd]") return std::stoi(entry.path().filename());
  }
  return -1;
}

// Where the pager of this process parks pages that are not executable: told by its size.
PageRange ParkingAreaOfProcess() {
  const PageCount machine(static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)));
  const PageCount space = ParkingArea::SpaceFor(machine);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    char* next = nullptr;
    const uint64_t begin = std::strtoull(line.c_str(), &next, 16);
    const uint64_t end = std::strtoull(next + 1, nullptr, 16);
    if (end - begin == BytesOf(space)) return PageRange(PageOf(begin), PageOf(end));
  }
  return PageRange();
}

class WatchdogTest : public GatedPager {
 protected:
  WatchdogTest() { watch_period_ns_ = kPeriodNs; }
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }
};

// Takes the next message away from the shard, whose thread is held meanwhile. Returns its address.
uint64_t StealMessage() {
  const int descriptor = UserfaultDescriptor();
  pollfd polled{descriptor, POLLIN, 0};
  uffd_msg message;
  if (poll(&polled, 1, 20'000) != 1) return 0;
  if (read(descriptor, &message, sizeof message) != sizeof message) return 0;
  return message.arg.pagefault.address;
}

TEST_P(WatchdogTest, ForgottenThreadIsSentToLookAgain) {
  CapturedLog log;
  Vad* held = pager_->Reserve(1);
  Vad* vad = pager_->Reserve(1);
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> writer;
  std::atomic<uint64_t> stolen{0};
  SyncPoints::Set("fault:before_zeros", [&](uint64_t address) {
    if (address != AddressOf(held->range.begin)) return;
    writer = std::make_unique<PendingAccess>([page] { return TryWrite(PointerTo(page), 5); });
    stolen.store(StealMessage());
  });
  EXPECT_EQ(TryRead(PointerTo(held->range.begin)).signal, 0);
  ASSERT_EQ(stolen.load(), AddressOf(page));
  ASSERT_TRUE(Eventually([&] { return writer->done(); }));
  EXPECT_EQ(writer->Join().signal, 0);
  EXPECT_EQ(FirstWord(page), 5u);
  EXPECT_TRUE(Eventually([&] { return log.Has(kForgotten); }));
  EXPECT_TRUE(log.Has("1 thread(s) waited for pages of shard 0")) << log.Text();
  EXPECT_TRUE(IsSound());
}

// Who waits for a disk that is slow is not forgotten, however long it takes.
TEST_P(WatchdogTest, ThreadsThatWaitForASlowDiskAreLeftToWait) {
  CapturedLog log;
  Vad* vad = ReserveFilled();
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  // Many looks; the reader is sent to look again in some, and waits again.
  std::this_thread::sleep_for(std::chrono::nanoseconds(50 * kPeriodNs));
  EXPECT_FALSE(reader->done());
  OpenGates();
  EXPECT_EQ(reader->Join().signal, 0);
  EXPECT_TRUE(IsFilled(vad->range.begin));
  EXPECT_EQ(log.Text(), "");
  EXPECT_TRUE(IsSound());
}

// A lock that is held for long keeps the shard from answering: that is told, and no more.
TEST_P(WatchdogTest, ShardThatDoesNotGoOnIsTold) {
  CapturedLog log;
  Vad* vad = ReserveFilled();
  Vad* other = pager_->Reserve(1);
  std::unique_ptr<PendingAccess> writer;
  std::atomic<bool> told{false};
  SyncPoints::Set("release:before_unmap", [&](uint64_t address) {
    if (address != AddressOf(vad->range.begin)) return;
    const PageIndex page = other->range.begin;
    writer = std::make_unique<PendingAccess>([page] { return TryWrite(PointerTo(page), 5); });
    told.store(Eventually([&] { return log.Has("whose thread has not gone on"); }));
  });
  pager_->Release(vad);
  EXPECT_TRUE(told.load()) << log.Text();
  EXPECT_EQ(writer->Join().signal, 0);
  EXPECT_FALSE(log.Has(kForgotten)) << log.Text();
}

INSTANTIATE_TEST_SUITE_P(Roads, WatchdogTest,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kThreads, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

// Threads that read for themselves, and one that never comes back from it.
class WatchdogInlineTest : public testing::TestWithParam<IoEngineKind> {
 protected:
  static constexpr uint64_t kWord = 7;

  void SetUp() override {
    PagerOptions options =
        RunningPager::Options(Road{true, GetParam(), 1, FaultDelivery::kSignals}, 256);
    options.watch_period_ns = kPeriodNs;
    if (!pager_.Start(options)) GTEST_SKIP() << pager_.why();
    Vad* vad = pager_.Reserve(1);
    page_ = vad->range.begin;
    FirstWord(page_) = kWord;
    ASSERT_TRUE(pager_.PushOut(*vad));
  }
  void TearDown() override { SyncPoints::ClearAll(); }

  // The first thread that is about to read the page does that; the others go on.
  void AtFirstRead(std::function<void()> action) {
    SyncPoints::Set("inline:before_read", [this, action = std::move(action)](uint64_t) {
      if (!reached_.exchange(true)) action();
    });
  }
  // A thread that touches the page and does not come back.
  void StartFirst() {
    std::thread([this] { [[maybe_unused]] const uint64_t word = FirstWord(page_); }).detach();
  }
  // Has another thread touch the page, which waits for the first one's read.
  void AwaitSecond(std::atomic<uint64_t>* word, std::thread* second) {
    *second = std::thread([this, word] { word->store(FirstWord(page_)); });
  }

  RunningPager pager_;
  PageIndex page_;
  std::atomic<bool> reached_{false};
};

TEST_P(WatchdogInlineTest, TheReadOfAThreadThatHasEndedIsTakenOver) {
  CapturedLog log;
  // The thread that ends holds what runs at the sync point.
  const LeaksAllowed leaks;
  std::atomic<pid_t> reader{0};
  AtFirstRead([&] {
    reader.store(static_cast<pid_t>(syscall(SYS_gettid)));
    syscall(SYS_exit, 0);
  });
  StartFirst();
  ASSERT_TRUE(Eventually([&] {
    return reader.load() != 0 && syscall(SYS_tgkill, getpid(), reader.load(), 0) != 0;
  }));
  std::atomic<uint64_t> word{0};
  std::thread second;
  AwaitSecond(&word, &second);
  ASSERT_TRUE(Eventually([&] { return word.load() == kWord; })) << log.Text();
  second.join();
  EXPECT_TRUE(log.Has("thread " + std::to_string(reader.load()) + " has ended while it read"))
      << log.Text();
  EXPECT_TRUE(pager_->CheckConsistency());
}

// One that only takes its time is left alone, however long that is.
TEST_P(WatchdogInlineTest, AThreadThatIsSlowReadsForItself) {
  CapturedLog log;
  std::atomic<bool> goes_on{false};
  AtFirstRead([&] { goes_on.wait(false); });
  std::atomic<uint64_t> words[2] = {};
  std::thread first;
  AwaitSecond(&words[0], &first);
  ASSERT_TRUE(Eventually([&] { return reached_.load(); }));
  std::thread second;
  AwaitSecond(&words[1], &second);
  // Many looks; the second is sent to look again in some, and waits again.
  std::this_thread::sleep_for(std::chrono::nanoseconds(50 * kPeriodNs));
  EXPECT_EQ(words[1].load(), 0u);
  goes_on.store(true);
  goes_on.notify_one();
  first.join();
  second.join();
  EXPECT_EQ(words[0].load(), kWord);
  EXPECT_EQ(words[1].load(), kWord);
  EXPECT_EQ(log.Text(), "");
}

// Nobody waits for its page, and the pager ends all the same.
TEST_P(WatchdogInlineTest, ThePagerEndsAfterSuchAThread) {
  CapturedLog log;
  const LeaksAllowed leaks;  // as above
  std::atomic<bool> ends{false};
  AtFirstRead([&] {
    ends.store(true);
    syscall(SYS_exit, 0);
  });
  StartFirst();
  ASSERT_TRUE(Eventually([&] { return ends.load(); }));
  pager_.StopNow();
  EXPECT_TRUE(log.Has("has ended while it read")) << log.Text();
}

INSTANTIATE_TEST_SUITE_P(Engines, WatchdogInlineTest,
                         testing::Values(IoEngineKind::kUring, IoEngineKind::kThreads),
                         [](const auto& tested) {
                           return tested.param == IoEngineKind::kUring ? "Uring" : "Threads";
                         });

class WatchdogUnderLoadTest : public testing::TestWithParam<Road> {};

// More looks than any program sees, while everything that pages do happens: no false alarm.
TEST_P(WatchdogUnderLoadTest, NoFalseAlarm) {
  constexpr unsigned kThreads = 4;
  constexpr uint64_t kPagesEach = 64;
  constexpr unsigned kRounds = kInstrumented ? 2 : 8;
  CapturedLog log;
  RunningPager pager;
  PagerOptions options =
      RunningPager::Options(GetParam(), Pager::SmallestMemoryLimit(GetParam().shards).value());
  options.watch_period_ns = 200'000;
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  Vad* vad = pager.Reserve(kThreads * kPagesEach);
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t round = 0; round < kRounds; ++round) {
        for (uint64_t i = t; i < kThreads * kPagesEach; i += kThreads) {
          volatile uint64_t& word = FirstWord(vad->range.begin + PageCount(i));
          wrong += word != (round == 0 ? 0 : i + round);
          word = i + round + 1;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_FALSE(log.Has(kForgotten)) << log.Text();
}

INSTANTIATE_TEST_SUITE_P(
    Roads, WatchdogUnderLoadTest,
    testing::Values(Road{true, IoEngineKind::kUring, 1}, Road{false, IoEngineKind::kUring, 1},
                    Road{true, IoEngineKind::kThreads, 2},
                    Road{true, IoEngineKind::kUring, 1, FaultDelivery::kSignals}),
    [](const auto& tested) { return tested.param.Name(); });

// The process is stopped, with the reason, and not only when the next fault comes.
class WatchdogDeathTest : public testing::TestWithParam<IoEngineKind> {
 protected:
  void SetUp() override {
    RunningPager moving;
    has_move_ = moving.Start(RunningPager::Options(Road{true, GetParam(), 1}, 256));
    RunningPager copying;
    if (has_move_ || copying.Start(RunningPager::Options(Road{false, GetParam(), 1}, 256))) return;
    GTEST_SKIP() << copying.why();
  }
  // In the process that is to die.
  void Start(RunningPager* pager) {
    PagerOptions options = RunningPager::Options(Road{has_move_, GetParam(), 1}, 256);
    options.watch_period_ns = kPeriodNs;
    if (!pager->Start(options)) std::_Exit(1);
    vad_ = pager->Reserve(64);
    for (uint64_t i = 0; i < 64; ++i) {
      stress::FillPage(WordsOf(vad_->range.begin + PageCount(i)), i, 1);
    }
    pager->Turn();
  }
  // Longer than any machine takes to find out.
  static void AwaitDeath() { (void)Eventually([] { return false; }); }
  // From now on whatever is parked is gone at once, wherever it is looked at next.
  static void LoseParkedAt(const char* point) {
    SyncPoints::Set(point, [](uint64_t) {
      const PageRange parking = ParkingAreaOfProcess();
      madvise(PointerTo(parking.begin), BytesOf(parking.count()), MADV_DONTNEED);
    });
  }

  static constexpr const char* kNeedsMove = "needs UFFDIO_MOVE: without it no page is moved away";

  bool has_move_ = false;
  Vad* vad_ = nullptr;
};

TEST_P(WatchdogDeathTest, ThreadThatEnds) {
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        SyncPoints::Set("fault:before_zeros", [](uint64_t) { syscall(SYS_exit, 0); });
        Vad* fresh = pager.Reserve(1);
        (void)TryRead(PointerTo(fresh->range.begin));
      },
      "stopped: .*the pager's thread has ended");
}

TEST_P(WatchdogDeathTest, UserfaultfdThatIsClosed) {
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        close(UserfaultDescriptor());
        AwaitDeath();
      },
      "stopped: .*somebody closed a descriptor of the runtime");
}

TEST_P(WatchdogDeathTest, UserfaultfdThatIsReplaced) {
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        dup2(open("/dev/null", O_RDWR), UserfaultDescriptor());
        AwaitDeath();
      },
      "stopped: .*somebody closed a descriptor of the runtime");
}

// The shard's thread looks at the page, for zeros.
TEST_P(WatchdogDeathTest, ParkedPageThatVanishesUnderTheShardsThread) {
  if (!has_move_) GTEST_SKIP() << kNeedsMove;
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        LoseParkedAt("page_out:moved");
        (void)pager.PressUntil([] { return false; });
      },
      "stopped: .*a parked page is missing");
}

// A thread of the program looks at it, which holds the shard's lock.
TEST_P(WatchdogDeathTest, ParkedPageThatVanishesUnderACall) {
  if (!has_move_) GTEST_SKIP() << kNeedsMove;
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        LoseParkedAt("page_out:moved");
        pager->TrimPages(*vad_, vad_->range);
      },
      "stopped: .*a parked page is missing");
}

// The kernel looks at it, for the disk: in the shard's thread, or in one of the engine's.
TEST_P(WatchdogDeathTest, ParkedPageThatVanishesUnderAWrite) {
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        LoseParkedAt("page_out:write_submitted");
        (void)pager.PressUntil([] { return false; });
      },
      "stopped: .*a parked page is missing");
}

INSTANTIATE_TEST_SUITE_P(Engines, WatchdogDeathTest,
                         testing::Values(IoEngineKind::kUring, IoEngineKind::kThreads),
                         [](const auto& tested) {
                           return tested.param == IoEngineKind::kUring ? "Uring" : "Threads";
                         });

}  // namespace
}  // namespace userpager
