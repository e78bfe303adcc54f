#include "runtime/address_space/fork_rules.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kFirst = 1000;
constexpr uint64_t kPages = 200;

PageRange Pages(uint64_t begin, uint64_t end) {
  return PageRange(PageIndex(kFirst + begin), PageIndex(kFirst + end));
}

TEST(ForkRulesTest, WithoutRulesEverythingIsInherited) {
  ForkRules rules;
  EXPECT_TRUE(rules.empty());
  const ForkRules::Run run = rules.First(Pages(0, kPages));
  EXPECT_EQ(Pages(0, kPages), run.range);
  EXPECT_EQ(ForkRule(), run.rule);
}

TEST(ForkRulesTest, RandomRulesAgainstAModel) {
  ForkRules rules;
  std::vector<ForkRule> model(kPages);
  std::mt19937_64 random(TestSeed());
  for (unsigned i = 0; i < 3000; ++i) {
    const uint64_t begin = random() % kPages;
    const uint64_t end = std::min(kPages, begin + 1 + random() % 30);
    const ForkRule rule{random() % 2 == 0, random() % 3 == 0};
    ASSERT_EQ(0, rules.Set(Pages(begin, end), rule));
    std::fill(model.begin() + static_cast<std::ptrdiff_t>(begin),
              model.begin() + static_cast<std::ptrdiff_t>(end), rule);
    for (PageRange rest = Pages(0, kPages); !rest.empty();) {
      const ForkRules::Run run = rules.First(rest);
      ASSERT_EQ(rest.begin, run.range.begin);
      ASSERT_FALSE(run.range.empty());
      ASSERT_LE(run.range.end, rest.end);
      for (PageIndex page = run.range.begin; page < run.range.end; ++page) {
        ASSERT_EQ(model[page.value() - kFirst], run.rule) << page.value() << ", step " << i;
      }
      rest.begin = run.range.end;
    }
  }
  ASSERT_EQ(0, rules.Set(Pages(0, kPages), {}));
  EXPECT_TRUE(rules.empty());
}

TEST(ForkRulesTest, ARuleOfNoPagesIsNone) {
  ForkRules rules;
  ASSERT_EQ(0, rules.Set(Pages(5, 5), {true, false}));
  EXPECT_TRUE(rules.empty());
}

// What is asked for may end before the next rule begins.
TEST(ForkRulesTest, ARuleBehindTheRangeDoesNotConcernIt) {
  ForkRules rules;
  ASSERT_EQ(0, rules.Set(Pages(50, 60), {true, false}));
  const ForkRules::Run run = rules.First(Pages(10, 50));
  EXPECT_EQ(Pages(10, 50), run.range);
  EXPECT_EQ(ForkRule(), run.rule);
}

}  // namespace
}  // namespace userpager
