#include "runtime/api/entry.h"

#include <errno.h>
#include <pthread.h>

#include "runtime/api/thread_state.h"
#include "runtime/base/arena.h"
#include "runtime/base/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define USERPAGER_KEEP_STACK
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define USERPAGER_KEEP_STACK
#endif
#endif

#ifndef USERPAGER_KEEP_STACK
// Calls function(argument) with the stack pointer at `stack`, which is aligned to 16 bytes. The
// frame pointer keeps the caller's stack, and the unwind information says so: a debugger's
// backtrace goes through.
extern "C" __attribute__((visibility("hidden"))) void userpager_call_on_stack(
    void* stack, void (*function)(void*), void* argument);

#if defined(__x86_64__)
asm(R"(
    .text
    .p2align 4
    .globl userpager_call_on_stack
    .hidden userpager_call_on_stack
    .type userpager_call_on_stack, @function
userpager_call_on_stack:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdi, %rsp
    movq %rdx, %rdi
    callq *%rsi
    movq %rbp, %rsp
    popq %rbp
    .cfi_def_cfa %rsp, 8
    retq
    .cfi_endproc
    .size userpager_call_on_stack, . - userpager_call_on_stack
)");
#elif defined(__aarch64__)
asm(R"(
    .text
    .p2align 4
    .globl userpager_call_on_stack
    .hidden userpager_call_on_stack
    .type userpager_call_on_stack, @function
userpager_call_on_stack:
    .cfi_startproc
    hint #34
    stp x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov x29, sp
    .cfi_def_cfa_register x29
    mov sp, x0
    mov x0, x2
    blr x1
    mov sp, x29
    .cfi_def_cfa_register sp
    ldp x29, x30, [sp], #16
    .cfi_def_cfa_offset 0
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size userpager_call_on_stack, . - userpager_call_on_stack
)");
#else
#error "userpager has no stack switch for this processor"
#endif
#endif

namespace userpager {
namespace {

// Stands in the stack's lowest word: an overflow is found before its damage can be believed.
constexpr uint64_t kStackEnd = 0x5ac4'e27d'0b91'36f8;

uint64_t& StackEndOf(const ThreadState& thread) {
  return *reinterpret_cast<uint64_t*>(thread.stack);
}

bool MakeStack(ThreadState& thread) {
  BlockSignals(thread);
  // Looked at again: a signal handler may have come in between and made one.
  if (thread.stack == nullptr) {
    thread.stack = static_cast<char*>(Arena::Allocate(Entry::kStackBytes));
    if (thread.stack != nullptr) StackEndOf(thread) = kStackEnd;
  }
  RestoreSignals(thread);
  if (thread.stack == nullptr) return false;
  ReleaseAtThreadEnd(thread);
  return true;
}

}  // namespace

bool Entry::IsInside() { return CurrentThread().inside; }

bool Entry::Enter() {
  ThreadState& thread = CurrentThread();
  if (thread.stack == nullptr && !MakeStack(thread)) return false;
  BlockSignals(thread);
  thread.saved_errno = errno;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &thread.cancel_state);
  thread.inside = true;
  return true;
}

void Entry::Leave() {
  ThreadState& thread = CurrentThread();
  USERPAGER_CHECK(StackEndOf(thread) == kStackEnd, "the runtime's stack of a thread overflowed",
                  reinterpret_cast<uint64_t>(thread.stack));
  thread.inside = false;
  pthread_setcancelstate(thread.cancel_state, nullptr);
  errno = thread.saved_errno;
  RestoreSignals(thread);
}

void* Entry::ArgumentSpace(size_t bytes) {
  return CurrentThread().stack + kStackBytes - RoundUp(bytes, 64);
}

void Entry::Call(void (*function)(void*), void* argument) {
#ifdef USERPAGER_KEEP_STACK
  function(argument);
#else
  userpager_call_on_stack(argument, function, argument);
#endif
}

}  // namespace userpager
