// What the pager believes of the kernel, asked of the kernel itself.
#include "runtime/platform/linux_page_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/pause.h"
#include "tests/support/eventually.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr PageCount kOne{1};
constexpr PageCount kPages{16};

class LinuxPagePlatformTest : public testing::Test {
 protected:
  void SetUp() override {
    LogLine line;
    const Errno error = ProbeFeatures(&features_, &line);
    if (error == EPERM || error == ENOSYS) GTEST_SKIP() << line.c_str();
    ASSERT_EQ(error, 0) << line.c_str();
    ASSERT_EQ(platform_.Open(features_, &line), 0) << line.c_str();
    PageIndex page;
    ASSERT_EQ(MapOwn(kPages, false, &page), 0);
    range_ = PageRange(page, kPages);
    ASSERT_EQ(platform_.Register(range_), 0);
    for (size_t i = 0; i < contents_.size(); ++i) contents_[i] = i + 1;
  }
  void TearDown() override {
    if (!range_.empty()) {
      EXPECT_EQ(Unmap(range_), 0);
    }
  }

  PageIndex At(uint64_t i) const { return range_.begin + PageCount(i); }
  RunResult Copy(uint64_t at, uint64_t count, InstallMode mode = InstallMode::kWritable) {
    return platform_.Copy(At(at), contents_.data(), PageCount(count), mode, WakeMode::kWake);
  }
  // Reads messages until one comes; bounded.
  static bool NextMessage(const LinuxPagePlatform& platform, FaultMessage* message) {
    return Eventually([&] {
      uffd_msg raw{};
      return read(platform.descriptor(), &raw, sizeof raw) == sizeof raw &&
             LinuxPagePlatform::Decode(raw, message);
    });
  }
  bool NextMessage(FaultMessage* message) { return NextMessage(platform_, message); }
  // The pages that are absent; whoever waits for any goes on.
  void FillAbsent(LinuxPagePlatform& platform, uint64_t at, uint64_t count) {
    for (uint64_t i = at; i < at + count; ++i) {
      const uint64_t* words = contents_.data() + (i - at) * kPageBytes / sizeof(uint64_t);
      (void)platform.Copy(At(i), words, kOne, InstallMode::kWritable, WakeMode::kWake);
      platform.Wake(PageRange(At(i), kOne));
    }
  }
  // Opens it so that it finds no page present, as it can open no pagemap.
  bool OpenBlind(LinuxPagePlatform& platform) {
    LogLine line;
    for (uint64_t n = 1; n < 8; ++n) {
      CallFaults::FailNth(CallKind::kOpen, n, EACCES);
      const Errno error = platform.Open(features_, &line);
      (void)CallFaults::Stop();
      PageRange run;
      PageIndex next;
      if (error == 0 && platform.FindPresent(range_, {&run, 1}, &next) == 0) return true;
      platform.ForgetInChild();
    }
    return false;
  }
  void MoveWhatChangesMeanwhile(LinuxPagePlatform& platform);

  PlatformFeatures features_;
  LinuxPagePlatform platform_;
  PageRange range_;
  std::array<uint64_t, 8 * kPageBytes / sizeof(uint64_t)> contents_;
};

TEST_F(LinuxPagePlatformTest, CopyFillsAbsentPages) {
  const RunResult copied = Copy(0, 4);
  EXPECT_EQ(copied.done.value(), 4u);
  EXPECT_EQ(copied.error, 0);
  EXPECT_EQ(memcmp(PointerTo(At(0)), contents_.data(), 4 * kPageBytes), 0);
  EXPECT_TRUE(platform_.IsPresent(At(3)));
  EXPECT_FALSE(platform_.IsPresent(At(4)));
}

// Of four pages the third is there: two are done, and the reason shows when the third is tried.
TEST_F(LinuxPagePlatformTest, ShortCounts) {
  ASSERT_EQ(Copy(2, 1).error, 0);
  RunResult copied = Copy(0, 4);
  EXPECT_EQ(copied.done.value(), 2u);
  EXPECT_EQ(copied.error, EAGAIN);
  copied = Copy(2, 2);
  EXPECT_EQ(copied.done.value(), 0u);
  EXPECT_EQ(copied.error, EEXIST);
  EXPECT_FALSE(platform_.IsPresent(At(3)));
}

TEST_F(LinuxPagePlatformTest, ShortCountsOfMove) {
  if (!features_.move) GTEST_SKIP() << "needs UFFDIO_MOVE, which this kernel has not";
  ASSERT_EQ(Copy(0, 2).error, 0);
  ASSERT_EQ(Copy(3, 1).error, 0);
  RunResult moved = platform_.Move(At(8), At(0), PageCount(4), WakeMode::kNoWake);
  EXPECT_EQ(moved.done.value(), 2u);
  EXPECT_EQ(moved.error, ENOENT);
  EXPECT_FALSE(platform_.IsPresent(At(0)));
  EXPECT_TRUE(platform_.IsPresent(At(9)));
  EXPECT_TRUE(platform_.IsPresent(At(3)));
  EXPECT_EQ(FirstWord(At(9)), contents_[kPageBytes / sizeof(uint64_t)]);
  moved = platform_.Move(At(10), At(2), kOne, WakeMode::kNoWake);
  EXPECT_EQ(moved.done.value(), 0u);
  EXPECT_EQ(moved.error, ENOENT);
  // To where a page is.
  moved = platform_.Move(At(8), At(3), kOne, WakeMode::kNoWake);
  EXPECT_EQ(moved.error, EEXIST);
}

// Stores to a page, each some moments after it is let go.
class LateStores {
 public:
  static constexpr uint64_t kStored = 77;

  explicit LateStores(PageIndex page) : thread_([this, page] { Run(page); }) {}
  ~LateStores() {
    let_go_.store(kEnd);
    thread_.join();
  }
  void LetGo(uint32_t moments) {
    moments_.store(moments);
    let_go_.fetch_add(1);
  }
  bool Stored() const { return stored_.load() == let_go_.load(); }

 private:
  static constexpr uint32_t kEnd = ~uint32_t{0};

  void Run(PageIndex page) {
    for (uint32_t seen = 0, now; (now = let_go_.load()) != kEnd;) {
      if (now == seen) continue;
      for (uint32_t i = moments_.load(); i > 0; --i) Pause();
      *static_cast<volatile uint64_t*>(PointerTo(page)) = kStored;
      stored_.store(seen = now);
    }
  }

  std::atomic<uint32_t> let_go_{0}, moments_{0}, stored_{0};
  std::thread thread_;
};

// The kernel goes over a page again whose entry changes between its look and its lock, here because
// the page is used for the first time since /proc/self/clear_refs; Linux 6.18 does not count what
// it moves then. Whoever waits at the destination is woken all the same. Until that has happened
// often enough.
void LinuxPagePlatformTest::MoveWhatChangesMeanwhile(LinuxPagePlatform& platform) {
  constexpr unsigned kMostRounds = 3000;
  constexpr unsigned kEnough = 30;
  constexpr PageCount kThree{3};
  const int marks = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (marks < 0) GTEST_SKIP() << "needs /proc/self/clear_refs: " << strerror(errno);
  unsigned uncounted = 0;
  SyncPoints::Set("move:uncounted", [&uncounted](uint64_t) { ++uncounted; });
  FillAbsent(platform, 0, 3);
  LateStores stores(At(0));
  // Also where something fails: no thread is left asleep, and no later test counts here.
  const absl::Cleanup end = [&] {
    FillAbsent(platform, 0, 3);
    SyncPoints::ClearAll();
    close(marks);
  };
  std::minstd_rand random(1);
  for (unsigned i = 0; i < kMostRounds && uncounted < kEnough; ++i) {
    ASSERT_EQ(write(marks, "1", 1), 1) << errno;
    std::atomic<bool> woken{false};
    std::thread reader;
    const WakeMode wake = i % 4 == 0 ? WakeMode::kWake : WakeMode::kNoWake;
    if (wake == WakeMode::kWake) {
      reader = std::thread([&] { woken.store(FirstWord(At(10)) != 0); });
      FaultMessage message;
      EXPECT_TRUE(NextMessage(platform, &message));
    }
    stores.LetGo(static_cast<uint32_t>(random() % 64));
    const RunResult moved = platform.Move(At(8), At(0), kThree, wake);
    if (reader.joinable()) {
      EXPECT_TRUE(Eventually([&] { return woken.load(); })) << i;
      FillAbsent(platform, 10, 1);
      reader.join();
    }
    ASSERT_EQ(moved.error, 0) << i;
    ASSERT_EQ(moved.done, kThree) << i;
    ASSERT_FALSE(platform_.IsPresent(At(2)));
    ASSERT_TRUE(platform_.IsPresent(At(10)));
    ASSERT_EQ(platform.Move(At(0), At(8), kThree, WakeMode::kWake).error, 0) << i;
    ASSERT_TRUE(Eventually([&] { return stores.Stored(); }));
    ASSERT_EQ(FirstWord(At(0)), LateStores::kStored);
    ASSERT_EQ(FirstWord(At(2)), contents_[2 * kPageBytes / sizeof(uint64_t)]);
  }
  if (uncounted == 0) GTEST_SKIP() << "this kernel counts all that it moves";
}

TEST_F(LinuxPagePlatformTest, MoveCountsPagesThatChangeMeanwhile) {
  if (!features_.move) GTEST_SKIP() << "needs UFFDIO_MOVE, which this kernel has not";
  MoveWhatChangesMeanwhile(platform_);
}

// In a process that may not read its own /proc/self/pagemap.
TEST_F(LinuxPagePlatformTest, MoveCountsThemWithoutPagemap) {
  if (!features_.move) GTEST_SKIP() << "needs UFFDIO_MOVE, which this kernel has not";
  FillAbsent(platform_, 0, 1);
  LinuxPagePlatform blind;
  ASSERT_TRUE(OpenBlind(blind));
  ASSERT_EQ(Unmap(range_), 0);
  ASSERT_EQ(MapOwn(kPages, false, &range_.begin), 0);
  range_.end = range_.begin + kPages;
  ASSERT_EQ(blind.Register(range_), 0);
  MoveWhatChangesMeanwhile(blind);
}

TEST_F(LinuxPagePlatformTest, CopyZerosInSteps) {
  constexpr PageCount kMany{1200};
  PageIndex page;
  ASSERT_EQ(MapOwn(kMany, false, &page), 0);
  ASSERT_EQ(platform_.Register(PageRange(page, kMany)), 0);
  ASSERT_EQ(platform_.Copy(page + PageCount(1100), contents_.data(), kOne, InstallMode::kWritable,
                           WakeMode::kWake)
                .error,
            0);
  const RunResult zeros =
      platform_.CopyZeros(page, kMany, InstallMode::kWritable, WakeMode::kWake);
  EXPECT_EQ(zeros.done.value(), 1100u);
  EXPECT_EQ(zeros.error, EAGAIN);
  EXPECT_EQ(FirstWord(page + PageCount(1099)), 0u);
  // They are pages of their own: a store needs no second answer.
  FirstWord(page + PageCount(1099)) = 1;
  EXPECT_EQ(FirstWord(page + PageCount(1098)), 0u);
  EXPECT_EQ(Unmap(PageRange(page, kMany)), 0);
}

TEST_F(LinuxPagePlatformTest, MessagesTellAddressAndKind) {
  uint64_t* const word = WordsOf(At(5)) + 3;
  std::thread reader([&] { EXPECT_EQ(TryRead(word).value, contents_[3]); });
  FaultMessage message;
  ASSERT_TRUE(NextMessage(&message));
  EXPECT_EQ(PageOf(message.address), At(5));
  if (features_.exact_address) {
    EXPECT_EQ(message.address, reinterpret_cast<uint64_t>(word));
  }
  if (features_.thread_id) {
    EXPECT_NE(message.thread_id, 0u);
  }
  EXPECT_FALSE(message.write);
  EXPECT_FALSE(message.write_protect);
  EXPECT_EQ(Copy(5, 1, InstallMode::kWriteProtected).error, 0);
  reader.join();
  std::thread writer([&] { EXPECT_EQ(TryWrite(word, 99).signal, 0); });
  ASSERT_TRUE(NextMessage(&message));
  EXPECT_TRUE(message.write);
  EXPECT_TRUE(message.write_protect);
  EXPECT_EQ(*word, contents_[3]);
  EXPECT_EQ(platform_.Unprotect(PageRange(At(5), kOne), WakeMode::kWake), 0);
  writer.join();
  EXPECT_EQ(*word, 99u);
}

TEST_F(LinuxPagePlatformTest, WriteProtectHoldsStoresOfPresentPages) {
  ASSERT_EQ(Copy(0, 2).error, 0);
  ASSERT_EQ(platform_.WriteProtect(range_), 0);
  std::thread writer([&] { EXPECT_EQ(TryWrite(PointerTo(At(1)), 7).signal, 0); });
  FaultMessage message;
  ASSERT_TRUE(NextMessage(&message));
  EXPECT_TRUE(message.write_protect);
  EXPECT_EQ(FirstWord(At(1)), contents_[kPageBytes / sizeof(uint64_t)]);
  ASSERT_EQ(platform_.Unprotect(range_, WakeMode::kWake), 0);
  writer.join();
  EXPECT_EQ(FirstWord(At(1)), 7u);
}

// Write protection and discarding go over ranges of several mappings.
TEST_F(LinuxPagePlatformTest, RangesOfSeveralMappings) {
  ASSERT_EQ(Copy(0, 6).error, 0);
  ASSERT_EQ(platform_.SetAccess(PageRange(At(2), kOne), KernelAccess::kRead), 0);
  ASSERT_EQ(platform_.WriteProtect(PageRange(At(0), PageCount(6))), 0);
  ASSERT_EQ(platform_.Unprotect(PageRange(At(0), PageCount(6)), WakeMode::kWake), 0);
  EXPECT_EQ(TryWrite(PointerTo(At(0)), 1).signal, 0);
  EXPECT_EQ(TryWrite(PointerTo(At(2)), 1).signal, SIGSEGV);
  EXPECT_EQ(platform_.Discard(PageRange(At(0), PageCount(6))), 0);
  for (uint64_t i = 0; i < 6; ++i) EXPECT_FALSE(platform_.IsPresent(At(i)));
}

// Why a page's state is looked at before every COPY: the kernel lets one userfaultfd fill memory
// that is another's, and takes a guard or a poison away.
TEST_F(LinuxPagePlatformTest, CopyChecksLittle) {
  LinuxPagePlatform other;
  LogLine line;
  ASSERT_EQ(other.Open(features_, &line), 0) << line.c_str();
  EXPECT_EQ(other.Copy(At(0), contents_.data(), kOne, InstallMode::kWritable, WakeMode::kWake)
                .done.value(),
            1u);
  EXPECT_EQ(FirstWord(At(0)), contents_[0]);
  if (features_.guard) {
    ASSERT_EQ(platform_.InstallGuard(At(1)), 0);
    EXPECT_EQ(Copy(1, 1).done.value(), 1u);
    EXPECT_EQ(TryRead(PointerTo(At(1))).signal, 0);
  }
  if (features_.poison) {
    ASSERT_EQ(platform_.Poison(At(2)), 0);
    EXPECT_EQ(Copy(2, 1).done.value(), 1u);
    EXPECT_EQ(TryRead(PointerTo(At(2))).signal, 0);
  }
}

// Discarding works in one call of many ranges, and where the kernel has none (before 6.13).
TEST_F(LinuxPagePlatformTest, DiscardAllEmptiesEachRange) {
  ASSERT_EQ(Copy(0, 8).error, 0);
  const PageRange ranges[] = {PageRange(At(0), PageCount(2)), PageRange(At(4), kOne),
                              PageRange(At(6), kOne)};
  PlatformFeatures without_vector = features_;
  without_vector.discard_vector = false;
  LinuxPagePlatform older;
  LogLine line;
  ASSERT_EQ(older.Open(without_vector, &line), 0) << line.c_str();
  ASSERT_EQ(older.DiscardAll(ranges), 0);
  for (const uint64_t gone : {0u, 1u, 4u, 6u}) EXPECT_FALSE(platform_.IsPresent(At(gone))) << gone;
  for (const uint64_t gone : {0u, 1u, 4u, 6u}) ASSERT_EQ(Copy(gone, 1).error, 0);
  ASSERT_EQ(platform_.DiscardAll(ranges), 0);
  for (const uint64_t gone : {0u, 1u, 4u, 6u}) EXPECT_FALSE(platform_.IsPresent(At(gone))) << gone;
  for (const uint64_t there : {2u, 3u, 5u, 7u}) {
    EXPECT_TRUE(platform_.IsPresent(At(there))) << there;
  }
  EXPECT_EQ(platform_.DiscardAll({}), 0);
}

TEST_F(LinuxPagePlatformTest, PoisonRaisesSigbusUntilItIsTakenAway) {
  for (const bool kernel_knows : {true, false}) {
    if (kernel_knows && !features_.poison) continue;
    PlatformFeatures features = features_;
    features.poison = kernel_knows;
    LinuxPagePlatform platform;
    LogLine line;
    ASSERT_EQ(platform.Open(features, &line), 0) << line.c_str();
    PageIndex page;
    ASSERT_EQ(MapOwn(PageCount(3), false, &page), 0);
    ASSERT_EQ(platform.Register(PageRange(page, PageCount(3))), 0);
    const PageIndex lost = page + kOne;
    ASSERT_EQ(platform.Poison(lost), 0);
    const AccessOutcome read = TryRead(WordsOf(lost) + 2);
    EXPECT_EQ(read.signal, SIGBUS);
    EXPECT_EQ(PageOf(read.address), lost);
    ASSERT_EQ(platform.Unpoison(lost), 0);
    // It faults to the same userfaultfd again.
    EXPECT_EQ(platform.Copy(lost, contents_.data(), kOne, InstallMode::kWritable, WakeMode::kWake)
                  .error,
              0);
    EXPECT_EQ(FirstWord(lost), contents_[0]);
    EXPECT_EQ(Unmap(PageRange(page, PageCount(3))), 0);
  }
}

TEST_F(LinuxPagePlatformTest, GuardsRaiseSigsegvWithoutAMessage) {
  if (!features_.guard) GTEST_SKIP() << "needs MADV_GUARD_INSTALL, which this kernel has not";
  ASSERT_EQ(platform_.InstallGuard(At(1)), 0);
  const AccessOutcome read = TryRead(WordsOf(At(1)) + 5);
  EXPECT_EQ(read.signal, SIGSEGV);
  EXPECT_EQ(read.address, AddressOf(At(1)) + 5 * sizeof(uint64_t));
  uffd_msg raw{};
  EXPECT_EQ(::read(platform_.descriptor(), &raw, sizeof raw), -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(platform_.RemoveGuard(At(1)), 0);
  EXPECT_FALSE(platform_.IsPresent(At(1)));
  EXPECT_EQ(Copy(1, 1).error, 0);
  EXPECT_EQ(FirstWord(At(1)), contents_[0]);
}

// Waking is allowed everywhere, also where nothing is mapped any more.
TEST_F(LinuxPagePlatformTest, WakeWhereNothingIs) {
  PageIndex page;
  ASSERT_EQ(MapOwn(kOne, false, &page), 0);
  ASSERT_EQ(platform_.Register(PageRange(page, kOne)), 0);
  std::thread reader([&] { EXPECT_EQ(TryRead(PointerTo(page)).signal, SIGSEGV); });
  FaultMessage message;
  ASSERT_TRUE(NextMessage(&message));
  ASSERT_EQ(Unmap(PageRange(page, kOne)), 0);
  platform_.Wake(PageRange(page, kOne));
  reader.join();
}

}  // namespace
}  // namespace userpager
