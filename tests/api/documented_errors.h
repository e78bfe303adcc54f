// DocumentedErrors: which last-error values each function of the family may give, as the comments
// in its header name them. Functions of <userpager/userpager.h> give a userpager_error instead.
#ifndef USERPAGER_TESTS_API_DOCUMENTED_ERRORS_H_
#define USERPAGER_TESTS_API_DOCUMENTED_ERRORS_H_

#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <map>
#include <set>
#include <string>

namespace userpager_tests {

using Errors = std::set<DWORD>;

inline Errors operator+(Errors a, const Errors& b) {
  a.insert(b.begin(), b.end());
  return a;
}

inline DWORD AsError(userpager_error error) { return static_cast<DWORD>(error); }

inline std::map<std::string, Errors> DocumentedErrors() {
  const Errors parameter = {ERROR_INVALID_PARAMETER};
  const Errors pointer = {ERROR_NOACCESS};
  const Errors handle = {ERROR_INVALID_HANDLE};
  // The pager's start, and what is scarce.
  const Errors always = {ERROR_NO_SYSTEM_RESOURCES};
  const Errors alloc = always + parameter + Errors{
      ERROR_INVALID_ADDRESS, ERROR_BUSY, ERROR_NOT_ENOUGH_MEMORY, ERROR_COMMITMENT_LIMIT,
      ERROR_PRIVILEGE_NOT_HELD};
  const Errors change = always + parameter + Errors{ERROR_INVALID_ADDRESS, ERROR_NOT_ENOUGH_MEMORY};
  const Errors query = always + parameter + pointer + Errors{ERROR_BAD_LENGTH};
  const Errors set_limits =
      always + parameter + handle + Errors{ERROR_BUSY, ERROR_COMMITMENT_LIMIT};
  const Errors handlers = {ERROR_INVALID_PARAMETER, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_SUPPORTED};
  return {
      {"VirtualAlloc", alloc},
      {"VirtualAllocEx", alloc + handle},
      {"VirtualAllocFromApp", alloc},
      {"VirtualAlloc2", alloc + handle + Errors{ERROR_NOT_SUPPORTED}},
      {"VirtualAlloc2FromApp", alloc + handle + Errors{ERROR_NOT_SUPPORTED}},
      {"VirtualFree", change},
      {"VirtualFreeEx", change + handle},
      {"VirtualProtect", change + pointer},
      {"VirtualProtectEx", change + pointer + handle},
      {"VirtualProtectFromApp", change + pointer},
      {"VirtualQuery", query},
      {"VirtualQueryEx", query + handle},
      {"VirtualLock", change + pointer + Errors{STATUS_GUARD_PAGE_VIOLATION,
                                                ERROR_WORKING_SET_QUOTA, ERROR_SWAPERROR}},
      {"VirtualUnlock", always + parameter + Errors{ERROR_NOT_LOCKED, ERROR_INVALID_ADDRESS}},
      {"GetWriteWatch", always + parameter + pointer},
      {"ResetWriteWatch", always + parameter},
      {"OfferVirtualMemory", change},
      {"ReclaimVirtualMemory", change + Errors{ERROR_BUSY}},
      {"DiscardVirtualMemory", change},
      {"PrefetchVirtualMemory", always + parameter + pointer + handle},
      {"AddVectoredExceptionHandler", handlers},
      {"RemoveVectoredExceptionHandler", handlers},
      {"SetProcessWorkingSetSize", set_limits},
      {"SetProcessWorkingSetSizeEx", set_limits},
      {"GetProcessWorkingSetSize", always + handle + pointer},
      {"GetProcessWorkingSetSizeEx", always + handle + pointer},
      {"EmptyWorkingSet", always + handle},
      {"QueryWorkingSet", always + handle + pointer + Errors{ERROR_BAD_LENGTH}},
      {"QueryWorkingSetEx", always + handle + pointer + Errors{ERROR_BAD_LENGTH}},
      {"GetProcessMemoryInfo", always + handle + pointer + Errors{ERROR_INSUFFICIENT_BUFFER}},
      {"GlobalMemoryStatusEx", always + pointer + parameter},
      {"GetPerformanceInfo", always + pointer + Errors{ERROR_BAD_LENGTH}},
      {"CreateMemoryResourceNotification", parameter},
      {"QueryMemoryResourceNotification", always + handle + pointer},
      {"QueryVirtualMemoryInformation", query + handle + Errors{ERROR_UNEXP_NET_ERR}},
      {"GetSystemInfo", {}},
      {"GetLargePageMinimum", {}},
      {"userpager_hold",
       {AsError(USERPAGER_ERROR_BAD_RANGE), AsError(USERPAGER_ERROR_BUSY),
        AsError(USERPAGER_ERROR_PAGE_LOST), AsError(USERPAGER_ERROR_INVALID_OPTION),
        AsError(USERPAGER_ERROR_NO_MEMORY)}},
      {"userpager_release",
       {AsError(USERPAGER_ERROR_BAD_RANGE), AsError(USERPAGER_ERROR_NO_MEMORY)}},
  };
}

}  // namespace userpager_tests

#endif  // USERPAGER_TESTS_API_DOCUMENTED_ERRORS_H_
