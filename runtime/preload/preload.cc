#include "runtime/preload/preload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <atomic>
#include <new>

#include "runtime/api/allocation_callers.h"
#include "runtime/api/runtime.h"
#include "runtime/heap/heap.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/features.h"
#include "runtime/preload/environment.h"
#include "runtime/preload/statistics_file.h"

namespace userpager {
namespace {

constexpr int kCannotRun = 126;

alignas(LinuxMemory) char the_memory[sizeof(LinuxMemory)];
constinit std::atomic<LinuxMemory*> active{nullptr};
constinit bool children_are_paged = true;

void StartPager() {
  userpager_options options;
  userpager_options_init(&options);
  options.commit = USERPAGER_COMMIT_LAZY;
  // A program with more rights than its user does not let the user choose where its memory goes.
  const char* text = secure_getenv("USERPAGER_CONF");
  if (text != nullptr && userpager_options_parse(&options, text) != 0) {
    Preload::Refuse(userpager_error_message());
  }
  if (options.faults == USERPAGER_FAULTS_INLINE) {
    Preload::Refuse(
        "faults:inline makes system calls fail; leave it out for programs that do not know it");
  }
  LetChildrenInherit();
  if (children_are_paged) KeepUserfaultfdDevice();
  if (userpager_start(&options) != 0) Preload::Refuse(userpager_error_message());
  // mlock has no quota beside the memory limit; VirtualLock has.
  Runtime::Get()->pager().set_lock_quota(PageCount(UINT64_MAX));
  if (!Runtime::Get()->pager().features().kernel_faults) {
    Preload::Refuse(
        "system calls would fail with EFAULT on memory that is out, as this process may only have"
        " its own faults answered; allow it: sysctl vm.unprivileged_userfaultfd=1");
  }
}

// Programs that this one starts would write over its recording, where each has not its own file.
void KeepRecording() {
  constexpr const char* kVariable = "USERPAGER_TRACE";
  const char* path = secure_getenv(kVariable);
  if (path != nullptr && strstr(path, "%p") == nullptr) ForgetVariable(kVariable);
}

void LookAtChildren() {
  const char* wish = secure_getenv("USERPAGER_CHILDREN");
  if (wish == nullptr) return;
  children_are_paged = std::string_view(wish) != "none";
  if (children_are_paged && std::string_view(wish) != "paged") {
    Preload::Refuse("USERPAGER_CHILDREN is neither paged nor none");
  }
}

// Programs that this one starts are not managed: they do not find the library, which the variable
// names first.
void LeaveChildrenAlone() {
  const char* libraries = getenv("LD_PRELOAD");
  if (children_are_paged || libraries == nullptr) return;
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

}  // namespace

LinuxMemory* Preload::Active() { return active.load(std::memory_order_acquire); }

void Preload::Deactivate() { active.store(nullptr, std::memory_order_release); }

bool Preload::ChildrenArePaged() { return children_are_paged; }

void Preload::Refuse(std::string_view why) {
  LogLine line;
  line << "the program is not run: " << why;
  line.Write();
  _exit(kCannotRun);
}

void Preload::Start() {
  LookAtChildren();
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

}  // namespace userpager

// With the linker's option -z initfirst: before every other library's, and so before the C library
// has set its environment, which it will do in the same way.
__attribute__((constructor)) static void StartOfLibrary(int, char**, char** environment) {
  if (environ == nullptr) environ = environment;
  userpager::Preload::Start();
}
