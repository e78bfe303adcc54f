#include "runtime/base/check.h"

#include <signal.h>

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(Check, ATrueConditionIsEvaluatedOnceAndPasses) {
  int evaluated = 0;
  USERPAGER_CHECK(++evaluated == 1, "it was evaluated more than once", evaluated);
  EXPECT_EQ(evaluated, 1);
}

TEST(Check, TheValueIsOnlyAskedForWhenTheConditionIsFalse) {
  int asked = 0;
  USERPAGER_CHECK(true, "never", ++asked);
  EXPECT_EQ(asked, 0);
}

TEST(CheckDeathTest, AFalseConditionAbortsWithAllThatIsKnown) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const int found = 26;
  const auto aborted = testing::KilledBySignal(SIGABRT);
  EXPECT_EXIT(USERPAGER_CHECK(found == 1, "the number is wrong", found), aborted,
              "userpager: stopped: .*the number is wrong \\(value 0x1a; found == 1 at "
              ".*check_test.cc:[0-9]+\\)");
}

}  // namespace
}  // namespace userpager
