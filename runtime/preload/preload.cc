#include "runtime/preload/preload.h"

#include <errno.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <atomic>
#include <new>

#include "runtime/api/allocation_callers.h"
#include "runtime/api/entry.h"
#include "runtime/api/runtime.h"
#include "runtime/base/check.h"
#include "runtime/heap/heap.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/descriptors.h"
#include "runtime/preload/environment.h"
#include "runtime/preload/statistics_file.h"

namespace userpager {
namespace {

constexpr int kCannotRun = 126;
// Around the place on its stack where a thread forks: what runs before the shards go on again.
constexpr uint64_t kForkStackBytes = 64 * 1024;

alignas(LinuxMemory) char the_memory[sizeof(LinuxMemory)];
constinit std::atomic<LinuxMemory*> active{nullptr};
// Of the fork under way, which the VadTree's lock makes the only one: the child's end of the pipe
// closes when the child has been filled, or is no more.
constinit int child_filled[2] = {-1, -1};
// Of the forking thread.
[[gnu::tls_model("initial-exec")]] constinit thread_local uint64_t held_stack = 0;
[[gnu::tls_model("initial-exec")]] constinit thread_local bool forking = false;

[[noreturn]] void Refuse(std::string_view why) {
  LogLine line;
  line << "the program is not run: " << why;
  line.Write();
  _exit(kCannotRun);
}

void StartPager() {
  userpager_options options;
  userpager_options_init(&options);
  options.commit = USERPAGER_COMMIT_LAZY;
  // A program with more rights than its user does not let the user choose where its memory goes.
  const char* text = secure_getenv("USERPAGER_CONF");
  if (text != nullptr && userpager_options_parse(&options, text) != 0) {
    Refuse(userpager_error_message());
  }
  if (options.faults == USERPAGER_FAULTS_INLINE) {
    Refuse("faults:inline makes system calls fail; leave it out for programs that do not know it");
  }
  LetChildrenInherit();
  if (userpager_start(&options) != 0) Refuse(userpager_error_message());
  // mlock has no quota beside the memory limit; VirtualLock has.
  Runtime::Get()->pager().set_lock_quota(PageCount(UINT64_MAX));
  if (!Runtime::Get()->pager().features().kernel_faults) {
    Refuse("system calls would fail with EFAULT on memory that is out, as this process may only"
           " have its own faults answered; allow it: sysctl vm.unprivileged_userfaultfd=1");
  }
}

// Programs that this one starts would write over its recording, where each has not its own file.
void KeepRecording() {
  constexpr const char* kVariable = "USERPAGER_TRACE";
  const char* path = secure_getenv(kVariable);
  if (path != nullptr && strstr(path, "%p") == nullptr) ForgetVariable(kVariable);
}

// Programs that this one starts are not managed: they do not find the library, which the variable
// names first.
void LeaveChildrenAlone() {
  const char* wish = secure_getenv("USERPAGER_CHILDREN");
  if (wish == nullptr) return;
  const bool none = std::string_view(wish) == "none";
  if (!none && std::string_view(wish) != "paged") {
    Refuse("USERPAGER_CHILDREN is neither paged nor none");
  }
  const char* libraries = getenv("LD_PRELOAD");
  if (!none || libraries == nullptr) return;
  const char* rest = strpbrk(libraries, ": ");
  if (rest == nullptr) {
    ForgetVariable("LD_PRELOAD");
  } else {
    ShortenVariable("LD_PRELOAD", rest + 1);
  }
}

void* PlainMap(size_t bytes) {
  void* got = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return got == MAP_FAILED ? nullptr : got;
}

void* MapPages(size_t bytes) {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return PlainMap(bytes);
  const int64_t got =
      memory->Map({0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0});
  return got < 0 ? nullptr : reinterpret_cast<void*>(got);
}

void UnmapPages(uint64_t address, uint64_t bytes) {
  if (bytes == 0) return;
  if (LinuxMemory* memory = Preload::Active(); memory != nullptr) {
    (void)memory->Unmap(address, bytes);
  } else {
    munmap(reinterpret_cast<void*>(address), bytes);
  }
}

void* MapForHeap(size_t bytes, size_t alignment) {
  if (alignment <= kPageBytes) return MapPages(bytes);
  if (bytes + alignment < bytes) return nullptr;
  void* got = MapPages(bytes + alignment);
  if (got == nullptr) return nullptr;
  const auto begin = reinterpret_cast<uint64_t>(got);
  const uint64_t aligned = RoundUp(begin, alignment);
  UnmapPages(begin, aligned - begin);
  UnmapPages(aligned + bytes, begin + alignment - aligned);
  return reinterpret_cast<void*>(aligned);
}

bool EmptyForHeap(void* at, size_t bytes) {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return madvise(at, bytes, MADV_DONTNEED) == 0;
  return memory->Advise(reinterpret_cast<uint64_t>(at), bytes, MADV_DONTNEED) == 0;
}

void TellForHeap(void* at, size_t bytes, const void* caller) {
  if (Preload::Active() != nullptr) TellCallers(at, bytes, caller);
}

// The stack of the thread that forks may be managed: nobody could bring it back in between. Page by
// page, as what is beside it may be nobody's.
void HoldStack(LinuxMemory& memory) {
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  const uint64_t begin = RoundDown(here, kPageBytes) - kForkStackBytes;
  held_stack = memory.Touches(begin, 2 * kForkStackBytes) ? begin : 0;
  for (uint64_t at = begin; held_stack != 0 && at < begin + 2 * kForkStackBytes;
       at += kPageBytes) {
    if (memory.Touches(at, kPageBytes)) (void)memory.Lock(at, kPageBytes);
  }
}

void ReleaseStack(LinuxMemory& memory) {
  for (uint64_t at = held_stack; at != 0 && at < held_stack + 2 * kForkStackBytes;
       at += kPageBytes) {
    if (memory.Touches(at, kPageBytes)) (void)memory.Unlock(at, kPageBytes);
  }
}

}  // namespace

LinuxMemory* Preload::Active() { return active.load(std::memory_order_acquire); }

void Preload::Start() {
  StartPager();
  // Registered first: so it runs last before a fork, and first after it.
  pthread_atfork(&BeforeFork, &AfterForkInParent, &AfterForkInChild);
  active.store(new (the_memory) LinuxMemory(Runtime::Get()->reservations()),
               std::memory_order_release);
  const bool wants_callers = Runtime::Get()->pager().wants_callers();
  if (Heap::Start({&MapForHeap, &EmptyForHeap, wants_callers ? &TellForHeap : nullptr}) != 0) {
    Refuse("its malloc cannot be replaced: the private jemalloc is not of version 5.3");
  }
  StatisticsFile::Begin();
  KeepRecording();
  LeaveChildrenAlone();
}

void Preload::BeforeFork() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  LinuxMemory* memory = Active();
  forking = memory != nullptr;
  if (forking) HoldStack(*memory);
  Heap::HoldForFork();
  if (!forking) return;
  const bool entered = Entry::Enter();
  USERPAGER_CHECK(entered, "a thread that has a stack of the runtime's could not enter", 0);
  Runtime::Get()->reservations().BeginFork();
  if (pipe2(child_filled, O_CLOEXEC) != 0) child_filled[0] = child_filled[1] = -1;
}

void Preload::AfterForkInParent() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (forking) {
    if (child_filled[1] >= 0) close(child_filled[1]);
    char none;
    while (child_filled[0] >= 0 && read(child_filled[0], &none, 1) < 0 && errno == EINTR) {
    }
    if (child_filled[0] >= 0) close(child_filled[0]);
    Runtime::Get()->reservations().EndFork();
    Entry::Leave();
    ReleaseStack(*Active());
    forking = false;
  }
  Heap::ReleaseInParent();
}

void Preload::AfterForkInChild() {
  if (forking) {
    active.store(nullptr, std::memory_order_release);
    Runtime::ForgetPageInChild();
    // Without a pipe the parent did not wait, and its page file may have changed.
    if (child_filled[1] < 0 || !Runtime::Get()->reservations().FillChild()) {
      Refuse("a forked child could not be given its parent's memory");
    }
    close(child_filled[1]);
    close(child_filled[0]);
    Descriptors::CloseAll();
    Entry::Leave();
    forking = false;
  }
  Heap::ReleaseInChild();
}

}  // namespace userpager

// fork without the handlers of pthread_atfork, and without them it cannot be.
extern "C" __attribute__((visibility("default"))) pid_t _Fork() noexcept {
  using userpager::Preload;
  static const auto next = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "_Fork"));
  Preload::BeforeFork();
  const pid_t child = next();
  if (child == 0) {
    Preload::AfterForkInChild();
  } else {
    const int error = errno;
    Preload::AfterForkInParent();
    errno = error;
  }
  return child;
}

// With the linker's option -z initfirst: before every other library's, and so before the C library
// has set its environment, which it will do in the same way.
__attribute__((constructor)) static void StartOfLibrary(int, char**, char** environment) {
  if (environ == nullptr) environ = environment;
  userpager::Preload::Start();
}
