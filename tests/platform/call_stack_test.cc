// Who called: the frames of functions that are known to be there.
#include "runtime/platform/call_stack.h"

#include <gtest/gtest.h>

namespace userpager {
namespace {

// Outermost last. Not inlined, and no call is the last thing that a function does.
[[gnu::noinline]] CallStack Asked() {
  CallStack stack = CallersFrom(__builtin_return_address(0));
  asm volatile("" : : "r"(&stack) : "memory");
  return stack;
}

[[gnu::noinline]] CallStack Deep(unsigned calls, uint64_t* here) {
  *here = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  uint64_t inner = 0;
  CallStack stack = calls == 0 ? Asked() : Deep(calls - 1, &inner);
  asm volatile("" : : "r"(&stack) : "memory");
  return stack;
}

TEST(CallStack, BeginsWithTheCallerAndGoesOnOutwards) {
  uint64_t here = 0;
  const CallStack stack = Deep(0, &here);
  ASSERT_GE(stack.count, 2u);
  // The first is in Deep, who asked; the second is where this test called it.
  EXPECT_EQ(here, stack.frames[1]);
  EXPECT_LT(stack.frames[0] - reinterpret_cast<uint64_t>(&Deep), 4096u);
}

TEST(CallStack, IsBounded) {
  uint64_t here = 0;
  EXPECT_EQ(kTraceFrames, Deep(100, &here).count);
}

TEST(CallStack, IsTheCallerAloneWhereTheWayDoesNotLeadToIt) {
  const CallStack stack = CallersFrom(reinterpret_cast<void*>(4711));
  ASSERT_EQ(1u, stack.count);
  EXPECT_EQ(4711u, stack.frames[0]);
}

}  // namespace
}  // namespace userpager
