// Free slots give their disk space back (PageFile::GiveBackSpace), others keep what they hold, and
// what is given back is not used before it has disk space again.
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/system_call.h"
#include "runtime/page_file/page_file.h"
#include "runtime/platform/descriptors.h"
#include "tests/support/captured_log.h"
#include "tests/support/child_process.h"
#include "tests/support/seed.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
constexpr uint64_t kSlots = 4096;  // of which the tests use, beside the header

struct alignas(kPageBytes) Page {
  unsigned char bytes[kPageBytes];
};

SlotRun All(SlotMap& slots) { return slots.Discard(PageFile::kMostGivenBack); }

class DiscardTest : public testing::Test {
 protected:
  void SetUp() override {
    LogLine line;
    ASSERT_EQ(file_.Open({directory_.path(), kSlots * kPageBytes, false, true}, &line), 0)
        << line.text();
    ASSERT_EQ(file_.Grow(file_.max_usable()), 0);
  }
  void TearDown() override { CallFaults::Stop(); }

  uint64_t DiskBytes() const {
    struct stat status{};
    EXPECT_EQ(fstat(file_.descriptor(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }
  void Write(SlotIndex slot, unsigned value) const {
    Page page;
    memset(page.bytes, static_cast<int>(value), sizeof page.bytes);
    ASSERT_EQ(pwrite(file_.descriptor(), &page, sizeof page,
                     static_cast<off_t>(file_.OffsetOf(slot))),
              ssize_t{sizeof page});
  }
  // Whether every byte of the slot is that.
  bool Holds(SlotIndex slot, unsigned value) const {
    Page page;
    EXPECT_EQ(pread(file_.descriptor(), &page, sizeof page,
                    static_cast<off_t>(file_.OffsetOf(slot))),
              ssize_t{sizeof page});
    return std::all_of(std::begin(page.bytes), std::end(page.bytes),
                       [value](unsigned char byte) { return byte == value % 256; });
  }
  // All slots, full of bytes that are not 0.
  SlotRun FillAll() {
    const SlotRun run = file_.AllocateRun(file_.usable());
    EXPECT_EQ(run.count, file_.max_usable());
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      Write(run.first + PageCount(i), 1 + static_cast<unsigned>(i % 255));
    }
    return run;
  }
  void GiveBackAll() {
    while (file_.GiveBackSpace(All)) {
    }
  }

  TempDirectory directory_;
  PageFile file_;
};

TEST_F(DiscardTest, FreeSlotsBecomeHolesAndOthersKeepWhatTheyHold) {
  const SlotRun run = FillAll();
  const uint64_t before = DiskBytes();
  EXPECT_GE(before, BytesOf(file_.usable()));
  file_.Free(SlotIndex(1024), PageCount(2048));
  GiveBackAll();
  EXPECT_EQ(file_.discarded(), PageCount(2048));
  EXPECT_EQ(file_.usable(), file_.max_usable() - PageCount(2048));
  EXPECT_LE(DiskBytes(), before - BytesOf(PageCount(2048)) + kMiB);
  for (uint64_t i = 0; i < run.count.value(); ++i) {
    const SlotIndex slot = run.first + PageCount(i);
    const bool gone = slot.value() >= 1024 && slot.value() < 3072;
    ASSERT_TRUE(Holds(slot, gone ? 0 : 1 + static_cast<unsigned>(i % 255))) << slot.value();
  }
  EXPECT_EQ(file_.AllocateRun(PageCount(1)).count, PageCount(0)) << "it has no disk space";
  ASSERT_EQ(file_.Grow(file_.max_usable()), 0);
  EXPECT_GE(DiskBytes(), BytesOf(file_.usable()));
  EXPECT_EQ(file_.AllocateRun(PageCount(4096)).count, PageCount(2048));
}

// What is free between slots in use is no run.
TEST_F(DiscardTest, SlotsBetweenOthersKeepTheirDiskSpace) {
  (void)FillAll();
  const uint64_t before = DiskBytes();
  for (uint32_t slot = 2; slot < kSlots; slot += 2) file_.Free(SlotIndex(slot), PageCount(1));
  GiveBackAll();
  EXPECT_EQ(file_.discarded(), PageCount(0));
  EXPECT_EQ(DiskBytes(), before);
  EXPECT_TRUE(file_.discards());
}

TEST_F(DiscardTest, SlotsThatAChildMayReadAreKept) {
  (void)FillAll();
  SlotLoan loan;
  ASSERT_EQ(file_.Lend(&loan), 0);
  ASSERT_GE(loan.held, 0);
  file_.Free(SlotIndex(64), PageCount(64));
  GiveBackAll();
  EXPECT_EQ(file_.discarded(), PageCount(0));
  EXPECT_TRUE(Holds(SlotIndex(64), 1 + 63));
  Descriptors::Close(loan.held);
  file_.EndLoans();
  GiveBackAll();
  EXPECT_EQ(file_.discarded(), PageCount(64));
  EXPECT_TRUE(Holds(SlotIndex(64), 0));
}

// A loan of what is in use has nothing of what was given back, and a child's account neither.
TEST_F(DiscardTest, WhatWasGivenBackIsNotLent) {
  (void)FillAll();
  file_.Free(SlotIndex(1024), PageCount(1024));
  GiveBackAll();
  SlotLoan loan;
  ASSERT_EQ(file_.Lend(&loan), 0);
  EXPECT_EQ(file_.lent(), file_.max_usable() - PageCount(1024));
  EXPECT_EQ(InChild([&]() -> std::string {
              file_.BorrowInChild(loan);
              LogLine line;
              if (file_.OpenInChild(&line) == 0) return "a file beside none";
              return "";
            }),
            "");
  Descriptors::Close(loan.held);
  file_.EndLoans();
}

// Takes, frees, gives back and grows at random; what is in use always holds what was written.
TEST_F(DiscardTest, RandomUseAgainstAModel) {
  std::mt19937_64 random(TestSeed());
  std::map<uint32_t, unsigned> used;
  uint64_t given_back = 0;
  for (unsigned step = 0; step < 600; ++step) {
    SCOPED_TRACE(step);
    const uint64_t dice = random() % 10;
    if (dice < 4) {
      const SlotRun run = file_.AllocateRun(PageCount(1 + random() % 300));
      for (uint64_t i = 0; i < run.count.value(); ++i) {
        const SlotIndex slot = run.first + PageCount(i);
        const unsigned value = 1 + static_cast<unsigned>(random() % 255);
        Write(slot, value);
        ASSERT_TRUE(used.emplace(slot.value(), value).second);
      }
    } else if (dice < 7) {
      const auto first = used.lower_bound(static_cast<uint32_t>(random() % kSlots));
      auto last = first;
      for (uint64_t i = random() % 400; i > 0 && last != used.end(); --i, ++last) {
        file_.Free(SlotIndex(last->first), PageCount(1));
      }
      used.erase(first, last);
    } else if (dice < 9) {
      const PageCount before = file_.discarded();
      (void)file_.GiveBackSpace(
          [&](SlotMap& slots) { return slots.Discard(PageCount(random() % 1024)); });
      given_back += (file_.discarded() - before).value();
    } else {
      ASSERT_EQ(file_.Grow(std::min(file_.max_usable(),
                                    file_.usable() + PageCount(1 + random() % 500))), 0);
    }
    ASSERT_EQ(file_.used().value(), used.size());
    ASSERT_EQ(file_.usable() + file_.discarded(), file_.max_usable());
    if (step % 20 != 0) continue;
    for (const auto& [slot, value] : used) ASSERT_TRUE(Holds(SlotIndex(slot), value)) << slot;
  }
  EXPECT_GT(given_back, 0u);
}

// A file system that cannot: one line, and everything is as without the option.
TEST_F(DiscardTest, WhereItCannotBeDoneOneLineTellsIt) {
  CapturedLog log;
  CallFaults::FailNth(CallKind::kPunch, 1, EOPNOTSUPP);
  EXPECT_FALSE(file_.GiveBackSpace(All));
  EXPECT_TRUE(CallFaults::Stop());
  EXPECT_FALSE(file_.GiveBackSpace(All)) << "it was turned off";
  EXPECT_FALSE(file_.discards());
  EXPECT_EQ(file_.usable(), file_.max_usable());
  EXPECT_EQ(file_.discarded(), PageCount(0));
  const std::string text = log.Text();
  EXPECT_TRUE(log.Has("discard:on: the disk space of free slots")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(DiscardTest, AnInterruptedCallIsMadeAgain) {
  CallFaults::FailNth(CallKind::kPunch, 1, EINTR);
  EXPECT_TRUE(file_.GiveBackSpace(All));
  EXPECT_TRUE(CallFaults::Stop());
  EXPECT_GT(file_.discarded(), PageCount(0));
  EXPECT_TRUE(file_.discards());
}

TEST_F(DiscardTest, TheKernelsRefusalIsOne) {
  const std::string result = InChild([&]() -> std::string {
    RefuseSystemCall(SYS_fallocate, EOPNOTSUPP, 1, FALLOC_FL_PUNCH_HOLE);
    if (file_.GiveBackSpace(All)) return "given back";
    if (file_.discards() || file_.usable() != file_.max_usable()) return "not turned off";
    return DiskBytes() >= BytesOf(file_.usable()) ? "" : "without disk space";
  });
  EXPECT_EQ(result, "");
}

// After another failure nobody knows what is left of the run: it is not used before it was filled.
TEST_F(DiscardTest, ARunThatFailedHalfWayIsFilledAgain) {
  CapturedLog log;
  CallFaults::FailNth(CallKind::kPunch, 2, EIO);
  EXPECT_TRUE(file_.GiveBackSpace(All));
  EXPECT_FALSE(file_.GiveBackSpace(All));
  EXPECT_TRUE(CallFaults::Stop());
  EXPECT_EQ(file_.discarded(), PageCount(2048));
  EXPECT_EQ(file_.usable(), file_.max_usable() - PageCount(2048));
  ASSERT_EQ(file_.Grow(file_.max_usable()), 0);
  EXPECT_GE(DiskBytes(), BytesOf(file_.max_usable()));
}

// Each time that disk space is taken again it may be refused: then there are as many slots as
// before, and it can be tried again.
TEST_F(DiscardTest, DiskSpaceThatIsNotToBeHadAgain) {
  GiveBackAll();
  const PageCount before = file_.usable();
  uint64_t n = 1;
  for (;; ++n) {
    CallFaults::FailNth(CallKind::kGrow, n, ENOSPC);
    const Errno failed = file_.Grow(file_.max_usable());
    const bool hit = CallFaults::Stop();
    EXPECT_EQ(failed, hit ? ENOSPC : 0);
    EXPECT_EQ(file_.usable() + file_.discarded(), file_.max_usable());
    EXPECT_GE(DiskBytes(), BytesOf(file_.usable()));
    if (!hit) break;
    GiveBackAll();
    EXPECT_EQ(file_.usable(), before);
  }
  EXPECT_GT(n, 3u);
}

// What can never be promised takes no disk space.
TEST_F(DiscardTest, TooMuchIsRefusedAtOnce) {
  GiveBackAll();
  const PageCount before = file_.discarded();
  ASSERT_GT(before, PageCount(0));
  for (const uint64_t slots : {file_.max_usable().value() + 1, UINT64_MAX / kPageBytes}) {
    EXPECT_EQ(file_.Grow(PageCount(slots)), ENOSPC);
    EXPECT_EQ(file_.discarded(), before);
  }
}

TEST_F(DiscardTest, WithoutTheOptionNothingIsGivenBack) {
  PageFile other;
  LogLine line;
  ASSERT_EQ(other.Open({directory_.path(), 8 * kMiB}, &line), 0) << line.text();
  bool asked = false;
  EXPECT_FALSE(other.GiveBackSpace([&](SlotMap& slots) {
    asked = true;
    return All(slots);
  }));
  EXPECT_FALSE(asked);
}

}  // namespace
}  // namespace userpager
