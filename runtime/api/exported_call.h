// What every exported function of the VirtualAlloc family is made of: its way inside, and its error
// on the way out. Memory of the caller is written outside, after the call.
#ifndef USERPAGER_API_EXPORTED_CALL_H_
#define USERPAGER_API_EXPORTED_CALL_H_

#include <userpager/virtual_alloc.h>

#include <cstdint>

#include "runtime/api/entry.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/reservations.h"
#include "runtime/api/runtime.h"

namespace userpager {

inline uint64_t AddressOfPointer(const void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

// What GetCurrentProcess() gives: the only process that there is to work on.
inline bool IsThisProcess(HANDLE process) { return process == GetCurrentProcess(); }

// TRUE, or FALSE with the error as the thread's last.
inline BOOL Done(DWORD error) {
  if (error == ERROR_SUCCESS) return TRUE;
  SetLastError(error);
  return FALSE;
}

struct Outcome {
  DWORD error = 0;
};

template <typename Result>
Result Refused(DWORD error) {
  Result result{};
  result.error = error;
  return result;
}

// Runs function(runtime) inside, the runtime started if it has to be. The result has a member
// `error`.
template <typename Result, typename Function>
Result OnRuntime(Function function) {
  if (ForkGuard::RefuseInChild()) return Refused<Result>(ERROR_NOT_SUPPORTED);
  Runtime* runtime = Runtime::GetOrStart();
  if (runtime == nullptr) return Refused<Result>(ERROR_NO_SYSTEM_RESOURCES);
  return RunInside([=] { return function(*runtime); })
      .value_or(Refused<Result>(ERROR_NO_SYSTEM_RESOURCES));
}

// The same with function(reservations).
template <typename Result, typename Function>
Result OnReservations(Function function) {
  return OnRuntime<Result>([=](Runtime& runtime) { return function(runtime.reservations()); });
}

}  // namespace userpager

#endif  // USERPAGER_API_EXPORTED_CALL_H_
