// Entry: the one way from the program into code of the runtime that takes locks. A holder of one of
// the runtime's locks must not fault on managed memory: the fault might need that very lock. Three
// things could make it fault, and each is kept out here:
//   - a signal handler of the program that interrupts it and touches managed memory or calls back:
//     all signals are blocked but the synchronous ones, by a raw system call (glibc's own internal
//     signals too);
//   - the caller's stack, which may itself be managed memory (coroutines whose stacks come from
//     VirtualAlloc): the code runs on a small stack of the thread's own from the metadata arena;
//   - arguments and results: they are copied to that stack before, and back after.
// Thread cancellation is held off as well, as unwinding would keep the lock, and errno is kept.
//
// Nested calls just run. Thread-local data is never managed memory: glibc keeps it beside thread
// stacks, and those are never managed.
//
// In builds with AddressSanitizer or ThreadSanitizer, which must know about every stack, the stack
// is not switched; a coroutine stack on managed memory may not call the API there.
#ifndef USERPAGER_API_ENTRY_H_
#define USERPAGER_API_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <type_traits>

#include "runtime/base/types.h"

namespace userpager {

class Entry {
 public:
  static constexpr size_t kStackBytes = 64 * 1024;

  // Whether the calling thread is inside.
  static bool IsInside();

  // Blocks signals and gets the thread's stack; false where there is no memory for one, with
  // nothing changed. Every Enter that returned true is followed by one Leave.
  [[nodiscard]] static bool Enter();
  static void Leave();
  // Where `bytes` of arguments can stand on the entered thread's stack, aligned to 64 bytes.
  static void* ArgumentSpace(size_t bytes);
  // Calls function(argument) on the rest of the stack. `argument` came from ArgumentSpace.
  static void Call(void (*function)(void*), void* argument);
};

// Runs `closure` inside and returns its result; nullopt where the thread has no stack yet and there
// is no memory for one. The closure holds what it needs by value, and no pointer into the caller's
// stack that it would follow with a lock held. Like the result it is plain data.
template <typename Closure>
auto RunInside(Closure closure) -> std::optional<std::invoke_result_t<Closure&>> {
  using Result = std::invoke_result_t<Closure&>;
  static_assert(std::is_trivially_copyable_v<Closure> && std::is_trivially_copyable_v<Result>);
  struct Arguments {
    Closure closure;
    Result result;
  };
  static_assert(sizeof(Arguments) <= Entry::kStackBytes / 4);
  if (Entry::IsInside()) return closure();
  if (!Entry::Enter()) return std::nullopt;
  auto* arguments = new (Entry::ArgumentSpace(sizeof(Arguments))) Arguments{closure, Result{}};
  Entry::Call(
      [](void* p) {
        auto* inside = static_cast<Arguments*>(p);
        inside->result = inside->closure();
      },
      arguments);
  const std::optional<Result> result = arguments->result;
  Entry::Leave();
  return result;
}

}  // namespace userpager

#endif  // USERPAGER_API_ENTRY_H_
