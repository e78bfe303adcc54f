#include "runtime/api/page_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr PageIndex kBegin{0x10'0000};

// A reservation of plain data: no pager, no address space.
class FakeVad {
 public:
  FakeVad(uint64_t pages, Pte default_pte, Protection allocation) {
    vad_.range = PageRange(kBegin, PageCount(pages));
    vad_.allocation_protection = allocation;
    vad_.default_pte = default_pte;
    vad_.committed = PageCount(default_pte.committed() ? pages : 0);
    vad_.ptes = ArenaArray<PteWord>(pages);
    EXPECT_TRUE(vad_.touched.Reset(pages / kPteGroupPages / 64 + 1));
    stripe_.range = vad_.range;
    stripe_.ptes = vad_.ptes.data();
    stripe_.touched = vad_.touched.data();
    stripe_.default_pte = default_pte;
  }
  void Store(uint64_t page, Pte pte) {
    const PageIndex index = kBegin + PageCount(page);
    const bool before = vad_.Load(index).committed();
    if (before && !pte.committed()) --vad_.committed;
    if (!before && pte.committed()) ++vad_.committed;
    stripe_.Store(index, pte);
  }
  const Vad& vad() const { return vad_; }

 private:
  Vad vad_;
  Stripe stripe_;
};

constexpr Protection kReadWrite{BaseProtection::kReadWrite};
constexpr Protection kReadOnly{BaseProtection::kReadOnly};
constexpr Pte kReserved(PageState::kReserved, Protection{});
constexpr Pte kZero(PageState::kDemandZero, kReadWrite);

uint64_t PagesOf(const PageRun& run) { return run.range.count().value(); }

TEST(PageRunTest, UntouchedReservationIsOneRun) {
  const FakeVad fake(uint64_t{1} << 28, kReserved, kReadWrite);
  const PageRun run = RunAt(fake.vad(), kBegin, fake.vad().range.end);
  EXPECT_EQ(run.range, fake.vad().range);
  EXPECT_FALSE(run.committed);
  EXPECT_EQ(CountCommitted(fake.vad(), fake.vad().range), PageCount(0));
}

TEST(PageRunTest, WhereTheContentIsDoesNotShow) {
  FakeVad fake(100, kZero, kReadWrite);
  fake.Store(3, Pte(PageState::kActiveDirty, kReadWrite).With(PageState::kActiveDirty, 7));
  fake.Store(4, Pte(PageState::kPagedOut, kReadWrite).With(PageState::kPagedOut, 9));
  fake.Store(5, Pte(PageState::kLost, kReadWrite).WithTrapped(true).WithAhead(true));
  EXPECT_EQ(PagesOf(RunAt(fake.vad(), kBegin, fake.vad().range.end)), 100u);
}

TEST(PageRunTest, ProtectionsAndLocksSplit) {
  FakeVad fake(1000, kZero, kReadWrite);
  fake.Store(600, Pte(PageState::kPagedOut, kReadOnly));
  fake.Store(700, Pte(PageState::kActiveDirty, kReadWrite).WithLocked(true));
  const PageIndex end = fake.vad().range.end;
  EXPECT_EQ(PagesOf(RunAt(fake.vad(), kBegin, end)), 600u);
  EXPECT_EQ(PagesOf(RunAt(fake.vad(), kBegin + PageCount(600), end)), 1u);
  EXPECT_EQ(PagesOf(RunAt(fake.vad(), kBegin + PageCount(601), end)), 99u);
  EXPECT_EQ(PagesOf(VisibleRunAt(fake.vad(), kBegin + PageCount(601), end)), 399u);
  EXPECT_TRUE(RunAt(fake.vad(), kBegin + PageCount(700), end).locked);
}

TEST(PageRunTest, ReservedPagesLookAlikeWhateverTheyWere) {
  FakeVad fake(50, kReserved, kReadWrite);
  fake.Store(10, Pte(PageState::kReserved, kReadOnly));
  EXPECT_EQ(PagesOf(RunAt(fake.vad(), kBegin, fake.vad().range.end)), 50u);
}

TEST(PageRunTest, CachingOfTheReservationIsShown) {
  Protection allocation = kReadWrite;
  allocation.no_cache = true;
  FakeVad fake(10, kReserved, allocation);
  fake.Store(0, kZero);
  EXPECT_TRUE(RunAt(fake.vad(), kBegin, fake.vad().range.end).protection.no_cache);
}

// Random pages of every look, walked and compared with the words themselves.
TEST(PageRunTest, RandomReservationsAgreeWithTheirPages) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 50; ++round) {
    const uint64_t pages = 1 + random() % 3000;
    FakeVad fake(pages, random() % 2 == 0 ? kReserved : kZero, kReadWrite);
    const uint64_t changes = random() % 40;
    for (uint64_t i = 0; i < changes; ++i) {
      const auto state = static_cast<PageState>(random() % kPageStateCount);
      const Pte pte = Pte(state, random() % 2 == 0 ? kReadWrite : kReadOnly)
                          .WithLocked(random() % 4 == 0);
      const uint64_t first = random() % pages;
      const uint64_t count = std::min(pages - first, random() % 700);
      for (uint64_t page = first; page < first + count; ++page) fake.Store(page, pte);
    }
    const Vad& vad = fake.vad();
    uint64_t committed = 0;
    PageIndex expected = vad.range.begin;
    EXPECT_TRUE(ForEachRun(vad, vad.range, [&](const PageRun& run) {
      EXPECT_EQ(run.range.begin, expected);
      for (PageIndex page = run.range.begin; page < run.range.end; ++page) {
        const Pte pte = vad.Load(page);
        EXPECT_EQ(pte.committed(), run.committed);
        if (!pte.committed()) continue;
        ++committed;
        EXPECT_EQ(pte.locked(), run.locked);
        EXPECT_EQ(pte.protection().base, run.protection.base);
      }
      expected = run.range.end;
      return !testing::Test::HasFailure();
    }));
    EXPECT_EQ(expected, vad.range.end);
    EXPECT_EQ(CountCommitted(vad, vad.range), PageCount(committed));
  }
}

}  // namespace
}  // namespace userpager
