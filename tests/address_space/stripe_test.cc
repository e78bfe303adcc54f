#include "runtime/address_space/stripe.h"

#include <random>
#include <set>

#include "gtest/gtest.h"
#include "runtime/base/arena.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kGroups = 200;
constexpr PageIndex kBegin{1'000'000};

class StripeTest : public testing::Test {
 protected:
  StripeTest() : ptes_(kGroups * kPteGroupPages), touched_((kGroups + 63) / 64) {
    stripe_.range = PageRange(kBegin, PageCount(ptes_.size()));
    stripe_.ptes = ptes_.data();
    stripe_.touched = touched_.data();
    stripe_.default_pte = Pte(PageState::kDemandZero, {BaseProtection::kReadWrite});
  }

  ArenaArray<PteWord> ptes_;
  ArenaArray<TouchedWord> touched_;
  Stripe stripe_;
};

TEST_F(StripeTest, AnUntouchedPageHasTheDefaultPte) {
  EXPECT_EQ(stripe_.Load(kBegin), stripe_.default_pte);
  const Pte stored(PageState::kReserved, Protection());
  stripe_.Store(kBegin, stored);
  EXPECT_EQ(stripe_.Load(kBegin), stored);
  EXPECT_EQ(stripe_.Load(kBegin + PageCount(1)), stripe_.default_pte);
}

TEST_F(StripeTest, TheWalkSkipsExactlyTheUntouchedGroups) {
  std::mt19937_64 random(TestSeed());
  const PageIndex end = stripe_.range.end;
  EXPECT_EQ(stripe_.NextTouched(kBegin, end), end);
  std::set<uint64_t> groups;
  for (unsigned step = 0; step < 2000; ++step) {
    if (step % 20 == 0) {
      const uint64_t index = random() % ptes_.size();
      stripe_.Store(kBegin + PageCount(index), stripe_.default_pte);
      groups.insert(index / kPteGroupPages);
    }
    const uint64_t from = random() % ptes_.size();
    const uint64_t to = from + random() % (ptes_.size() - from + 1);
    uint64_t expected = from;
    while (expected < to && !groups.contains(expected / kPteGroupPages)) ++expected;
    ASSERT_EQ(stripe_.NextTouched(kBegin + PageCount(from), kBegin + PageCount(to)),
              kBegin + PageCount(expected))
        << "from " << from << " to " << to;
  }
}

}  // namespace
}  // namespace userpager
