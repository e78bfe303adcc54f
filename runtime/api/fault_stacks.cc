#include "runtime/api/fault_stacks.h"

#include "runtime/api/entry.h"
#include "runtime/base/arena.h"
#include "runtime/base/lock.h"

namespace userpager {
namespace {

// Stands in the lowest bytes of a stack that nobody uses.
struct IdleStack {
  IdleStack* next;
};

constinit Lock lock{LockRank::kLeaf};
constinit IdleStack* idle ABSL_GUARDED_BY(lock) = nullptr;

IdleStack* TakeIdle() {
  LockHolder hold(lock);
  IdleStack* const stack = idle;
  if (stack != nullptr) idle = stack->next;
  return stack;
}

}  // namespace

void* FaultStacks::Take() {
  IdleStack* const stack = TakeIdle();
  return stack != nullptr ? stack : Arena::Allocate(Entry::kStackBytes);
}

void FaultStacks::Give(void* stack) {
  auto* const given = static_cast<IdleStack*>(stack);
  LockHolder hold(lock);
  given->next = idle;
  idle = given;
}

}  // namespace userpager
