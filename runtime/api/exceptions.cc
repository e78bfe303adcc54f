#include "runtime/api/exceptions.h"

#include <errno.h>
#include <signal.h>
#include <userpager/exceptions.h>

#include <optional>

#include "runtime/api/entry.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/handler_list.h"
#include "runtime/api/inline_signal.h"
#include "runtime/api/runtime.h"
#include "runtime/api/signal_chain.h"
#include "runtime/api/thread_state.h"
#include "runtime/base/clock.h"
#include "runtime/platform/fault_context.h"
#include "runtime/platform/guard_notice.h"

namespace userpager {
namespace {

// So often within so long a thread repeats an access that the pager says is allowed and the kernel
// goes on refusing; then something that the pager does not see refuses it.
constexpr unsigned kMostRepeats = 1000;
constexpr uint64_t kRepeatWindowNs = 1'000'000'000;

constinit HandlerList handlers;

ULONG_PTR WordOf(AccessKind access) {
  switch (access) {
    case AccessKind::kRead:
      return EXCEPTION_READ_FAULT;
    case AccessKind::kWrite:
      return EXCEPTION_WRITE_FAULT;
    case AccessKind::kExecute:
      return EXCEPTION_EXECUTE_FAULT;
  }
  return EXCEPTION_READ_FAULT;
}

Violation Judge(uint64_t address, AccessKind access) {
  Runtime* runtime = Runtime::Get();
  if (runtime == nullptr) return {};
  return RunInside([=] { return runtime->pager().Judge(PageOf(address), access); })
      .value_or(Violation{});
}

bool MayRepeat(PageIndex page) {
  ThreadState& thread = CurrentThread();
  const uint64_t now_ns = NowNanoseconds();
  if (thread.repeated_page != page || now_ns - thread.repeated_since_ns > kRepeatWindowNs) {
    thread.repeated_page = page;
    thread.repeated_since_ns = now_ns;
    thread.repeats = 0;
  }
  return ++thread.repeats <= kMostRepeats;
}

// Whether one of the vectored handlers wants the access to be repeated.
bool IsTakenByHandler(EXCEPTION_RECORD* record, ucontext_t* context) {
  EXCEPTION_POINTERS pointers = {record, context};
  const auto advance = [](HandlerList::Item* from) {
    return RunInside([from] { return handlers.Advance(from); }).value_or(nullptr);
  };
  for (HandlerList::Item* at = advance(nullptr); at != nullptr; at = advance(at)) {
    if (at->handler(&pointers) != EXCEPTION_CONTINUE_EXECUTION) continue;
    RunInside([at] {
      handlers.Leave(at);
      return true;
    });
    return true;
  }
  return false;
}

// The exception of a fault, or nullopt where there is none to be told of.
std::optional<EXCEPTION_RECORD> Describe(int signal, const siginfo_t& info,
                                         const ucontext_t& context, Violation violation) {
  EXCEPTION_RECORD record = {};
  record.ExceptionAddress = reinterpret_cast<void*>(InstructionOf(context));
  record.NumberParameters = 2;
  record.ExceptionInformation[0] = WordOf(AccessOfFault(context));
  record.ExceptionInformation[1] = reinterpret_cast<ULONG_PTR>(info.si_addr);
  // A general protection fault (an address that no program can have) comes without its address.
  if (info.si_code == SI_KERNEL) record.ExceptionInformation[1] = ~ULONG_PTR{0};
  switch (violation.kind) {
    case ViolationKind::kGuardEnded:
      record.ExceptionCode = EXCEPTION_GUARD_PAGE;
      return record;
    case ViolationKind::kLost:
      record.ExceptionCode = EXCEPTION_IN_PAGE_ERROR;
      record.NumberParameters = 3;
      record.ExceptionInformation[2] =
          violation.reason == EILSEQ ? STATUS_CRC_ERROR : STATUS_IO_DEVICE_ERROR;
      return record;
    case ViolationKind::kNotManaged:
    case ViolationKind::kForbidden:
    case ViolationKind::kAllowed:
      break;
  }
  if (signal != SIGSEGV) return std::nullopt;
  record.ExceptionCode = EXCEPTION_ACCESS_VIOLATION;
  return record;
}

// Whether the program goes on where it was.
bool Resolve(int signal, const siginfo_t& info, ucontext_t* context) {
  const auto address = reinterpret_cast<uint64_t>(info.si_addr);
  if (signal == SIGSEGV && IsGuardNotice(info)) {
    // The system call has failed: that was what it got of the guard. One that comes inside is about
    // a call that is long over.
    if (!Entry::IsInside()) (void)Judge(address, AccessKind::kRead);
    return true;
  }
  // A fault inside is a mistake of the runtime; and a forked child may not wait for its locks.
  if (Entry::IsInside() || ForkGuard::IsChild()) return false;
  if (info.si_code <= 0) return false;
  const Violation violation = Judge(address, AccessOfFault(*context));
  if (violation.kind == ViolationKind::kAllowed && MayRepeat(PageOf(address))) return true;
  std::optional<EXCEPTION_RECORD> record = Describe(signal, info, *context, violation);
  return record.has_value() && IsTakenByHandler(&*record, context);
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  if (signal == SIGBUS) {
    const auto& interrupted = *static_cast<const ucontext_t*>(context);
    if (InlineSignal::Answers(*info, interrupted)) {
      errno = saved_errno;
      return;
    }
    // What follows may be interrupted.
    pthread_sigmask(SIG_SETMASK, &interrupted.uc_sigmask, nullptr);
  }
  const bool resolved = Resolve(signal, *info, static_cast<ucontext_t*>(context));
  errno = saved_errno;
  if (!resolved) SignalChain::PassOn(signal, info, context);
  errno = saved_errno;
}

}  // namespace

bool InstallExceptions() { return SignalChain::Install(&OnSignal); }

}  // namespace userpager

using userpager::ForkGuard;
using userpager::HandlerList;
using userpager::RunInside;

PVOID AddVectoredExceptionHandler(ULONG First, PVECTORED_EXCEPTION_HANDLER Handler) {
  DWORD error = ERROR_NOT_ENOUGH_MEMORY;
  if (ForkGuard::RefuseInChild()) {
    error = ERROR_NOT_SUPPORTED;
  } else if (Handler == nullptr) {
    error = ERROR_INVALID_PARAMETER;
  } else if (userpager::InstallExceptions()) {
    const std::optional<HandlerList::Item*> added =
        RunInside([=] { return userpager::handlers.Add(First != 0, Handler); });
    if (added.value_or(nullptr) != nullptr) return *added;
  }
  SetLastError(error);
  return nullptr;
}

ULONG RemoveVectoredExceptionHandler(PVOID Handle) {
  DWORD error = ERROR_NOT_SUPPORTED;
  if (!ForkGuard::RefuseInChild()) {
    const std::optional<bool> removed =
        RunInside([=] { return userpager::handlers.Remove(Handle); });
    if (removed.value_or(false)) return TRUE;
    error = removed.has_value() ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
  }
  SetLastError(error);
  return FALSE;
}
