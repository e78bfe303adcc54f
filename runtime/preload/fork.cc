// fork under the preload library: what happens around it, and the functions that fork.
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#include <atomic>

#include "runtime/api/entry.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/runtime.h"
#include "runtime/base/check.h"
#include "runtime/heap/heap.h"
#include "runtime/platform/address_map.h"
#include "runtime/preload/preload.h"
#include "runtime/preload/statistics_file.h"

namespace userpager {
namespace {

// A child of a function after which it may not make threads has plain memory.
enum class ChildKind : uint8_t { kWithThreads, kWithout };

// Around a place on a stack where a thread forks: what runs before the shards go on again.
constexpr PageCount kHalf{16};

constinit std::atomic<bool> told_of_refusal{false};

// Of the forking thread.
struct ForkState {
  PageRange stacks[2];  // that are held in memory
  bool began = false;   // memory is managed
  bool holds = false;   // everything is held still
};
[[gnu::tls_model("initial-exec")]] constinit thread_local ForkState state;

// A stack of the thread that forks may be managed: nobody could bring it back in between. Page by
// page, as what is beside it may be nobody's.
PageRange HoldStack(LinuxMemory& memory, const void* place) {
  const PageIndex middle = PageOf(place);
  const PageRange stack(middle - kHalf, middle + kHalf);
  if (!memory.Touches(AddressOf(stack.begin), BytesOf(stack.count()))) return {};
  for (PageIndex page = stack.begin; page < stack.end; ++page) {
    if (!memory.Touches(AddressOf(page), kPageBytes)) continue;
    (void)memory.Lock(AddressOf(page), kPageBytes);
  }
  (void)RunInside([stack] {
    Runtime::Get()->pager().OpenForWriting(stack);
    return 0;
  });
  return stack;
}

void ReleaseStacks(LinuxMemory& memory) {
  for (PageRange& stack : state.stacks) {
    for (PageIndex page = stack.begin; page < stack.end; ++page) {
      if (!memory.Touches(AddressOf(page), kPageBytes)) continue;
      (void)memory.Unlock(AddressOf(page), kPageBytes);
    }
    stack = PageRange();
  }
}

// `child_stack`: of the child, where it begins on another one.
void Begin(const void* child_stack) {
  LinuxMemory* memory = Preload::Active();
  state.began = memory != nullptr;
  if (state.began) {
    state.stacks[0] = HoldStack(*memory, __builtin_frame_address(0));
    if (child_stack != nullptr) state.stacks[1] = HoldStack(*memory, child_stack);
  }
  Heap::HoldForFork();
  if (!state.began) return;
  const bool entered = Entry::Enter();
  USERPAGER_CHECK(entered, "a thread that has a stack of the runtime's could not enter", 0);
  state.holds = Runtime::Get()->BeginFork() == 0;
}

// Of what forks and may fail: as Begin, but false, with errno and nothing begun, where the child
// could not be lent what is in the page file. The handlers of pthread_atfork cannot fail: there the
// child ends.
bool TryBegin(const void* child_stack) {
  Begin(child_stack);
  if (!state.began || state.holds) return true;
  AfterForkInParent();
  errno = EAGAIN;
  return false;
}

// From now on the child has plain memory. `why`: it was not to.
void FillChild(const LogLine* why) {
  Preload::Deactivate();
  if (!Runtime::Get()->reservations().FillChild()) {
    Preload::Refuse("a forked child could not be given its parent's memory");
  }
  Entry::Leave();
  if (why == nullptr) return;
  LogLine line;
  line << "a forked child has plain memory, without a limit: " << why->text();
  line.Write();
}

// The kernel's mlock is not inherited; what holds the stacks of threads in memory is.
PageRange LockedInChild() {
  if (Preload::Active()->keeps_stacks()) return PageRange(PageIndex(1), kEndOfAddressSpace);
  return state.stacks[0];
}

void EndInChild(ChildKind kind) {
  if (!state.began) {
    Heap::ReleaseInChild();
    return;
  }
  // It could read pages that its parent has changed meanwhile.
  if (!state.holds) Preload::Refuse("a forked child has no descriptors for its parent's memory");
  StatisticsFile::ForgetInChild();
  Runtime& runtime = *Runtime::Get();
  runtime.BeginInChild();
  LogLine why;
  const bool wanted = kind == ChildKind::kWithThreads && Preload::ChildrenArePaged();
  bool paged = wanted && runtime.AdoptInChild(LockedInChild(), &why) == 0;
  // Threads are made with memory of jemalloc's. What is its own is not managed.
  Heap::ReleaseInChild();
  paged = paged && runtime.StartInChild(&why) == 0;
  if (!paged) {
    FillChild(wanted ? &why : nullptr);
    return;
  }
  Preload::Active()->ForgetLocksInChild();
  Entry::Leave();
  ReleaseStacks(*Preload::Active());
  const Errno error =
      RunInside([&runtime] { return runtime.reservations().ApplyForkRules(); }).value_or(ENOMEM);
  if (error != 0) Preload::Refuse("a forked child could not be given its parent's mappings");
}

// False, with errno, where a child could not page on its own; a line says why once.
bool MayFork() {
  if (Preload::Active() == nullptr || !Preload::ChildrenArePaged()) return true;
  LogLine why;
  Runtime& runtime = *Runtime::Get();
  Errno error = runtime.pager().TryChild(&why);
  if (error == 0) {
    LogLine* const line = &why;
    error = RunInside([&runtime, line] {
              return runtime.reservations().KeepPromisesBesideChild(line);
            }).value_or(ENOMEM);
  }
  if (error == 0) return true;
  if (!told_of_refusal.exchange(true)) {
    LogLine line;
    line << "the program may not fork, as the child could not page on its own: " << why.text()
         << "; with --children none it would have plain memory";
    line.Write();
  }
  const bool passes = error == EMFILE || error == ENFILE;
  errno = passes ? EAGAIN : error == ENOSPC || error == ENOMEM ? ENOMEM : EPERM;
  return false;
}

struct CloneStart {
  int (*function)(void*);
  void* argument;
};

int StartClone(void* given) {
  const CloneStart start = *static_cast<const CloneStart*>(given);
  ForkGuard::NoteChild();
  EndInChild(ChildKind::kWithout);
  return start.function(start.argument);
}

}  // namespace

void BeforeFork() { Begin(nullptr); }

void AfterForkInParent() {
  if (state.began) {
    if (state.holds) Runtime::Get()->EndFork();
    Entry::Leave();
    ReleaseStacks(*Preload::Active());
  }
  Heap::ReleaseInParent();
}

void AfterForkInChild() { EndInChild(ChildKind::kWithThreads); }

}  // namespace userpager

#define USERPAGER_EXPORTED extern "C" __attribute__((visibility("default")))

// The handlers could not refuse.
USERPAGER_EXPORTED pid_t fork() noexcept {
  static const auto next = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "fork"));
  return userpager::MayFork() ? next() : -1;
}

USERPAGER_EXPORTED pid_t __fork() noexcept { return fork(); }

// fork without the handlers of pthread_atfork, and without them it cannot be.
USERPAGER_EXPORTED pid_t _Fork() noexcept {
  static const auto next = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "_Fork"));
  if (!userpager::TryBegin(nullptr)) return -1;
  const pid_t child = next();
  if (child == 0) {
    userpager::ForkGuard::NoteChild();
    userpager::EndInChild(userpager::ChildKind::kWithout);
  } else {
    const int error = errno;
    userpager::AfterForkInParent();
    errno = error;
  }
  return child;
}

// Without CLONE_VM it forks as well.
USERPAGER_EXPORTED int clone(int (*function)(void*), void* stack, int flags, void* argument,
                             ...) noexcept {
  using Function = int (*)(int (*)(void*), void*, int, void*, pid_t*, void*, pid_t*);
  static const auto next = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clone"));
  va_list more;
  va_start(more, argument);
  pid_t* const parent_id = va_arg(more, pid_t*);
  void* const thread_data = va_arg(more, void*);
  pid_t* const child_id = va_arg(more, pid_t*);
  va_end(more);
  if ((flags & CLONE_VM) != 0 || function == nullptr || stack == nullptr) {
    return next(function, stack, flags, argument, parent_id, thread_data, child_id);
  }
  userpager::CloneStart start{function, argument};
  if (!userpager::TryBegin(stack)) return -1;
  const int child =
      next(&userpager::StartClone, stack, flags, &start, parent_id, thread_data, child_id);
  const int error = errno;
  userpager::AfterForkInParent();
  errno = error;
  return child;
}
