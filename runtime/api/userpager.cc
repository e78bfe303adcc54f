// The exported functions of <userpager/userpager.h>.
#include <userpager/userpager.h>

#include <string.h>

#include <algorithm>
#include <string_view>

#include "runtime/api/entry.h"
#include "runtime/api/error_message.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/machine_memory.h"
#include "runtime/api/options.h"
#include "runtime/api/runtime.h"
#include "runtime/api/statistics.h"

namespace userpager {
namespace {

// Runs function(line) inside; it returns 0, or a userpager_error with the line filled, which is
// then the thread's message.
template <typename Function>
int ExplainedInside(Function function) {
  if (ForkGuard::RefuseInChild()) return USERPAGER_ERROR_AFTER_FORK;
  return RunInside([=] {
           LogLine error;
           const int result = function(&error);
           if (result != 0) KeepErrorMessage(error);
           return result;
         })
      .value_or(USERPAGER_ERROR_NO_MEMORY);
}

int NotStarted(const char* what, LogLine* error) {
  *error << what << ": the pager has not been started; call userpager_start() first";
  return USERPAGER_ERROR_NOT_STARTED;
}

int Parse(userpager_options* options, const char* text, LogLine* error) {
  // Reading /proc for the share of nothing would be wasted.
  const std::string_view view(text);
  const bool has_share = view.find('%') != view.npos;
  const MachineMemory machine = has_share ? MachineMemory::Read("") : MachineMemory{};
  if (const int failed = CheckOptions(*options, error); failed != 0) return failed;
  return ParseOptions(view, "options", machine, options, error);
}

int SetMemoryLimit(uint64_t bytes, LogLine* error) {
  if (Runtime::Get() == nullptr) return NotStarted("userpager_set_memory_limit", error);
  return Runtime::ChangeMemoryLimit(bytes, error);
}

int Hold(const void* address, uint64_t bytes, unsigned use, LogLine* error) {
  Runtime* runtime = Runtime::Get();
  if (runtime == nullptr) return NotStarted("userpager_hold", error);
  if (use > USERPAGER_HOLD_FOR_WRITING) {
    *error << "userpager_hold: " << use << " is not a userpager_hold_use";
    return USERPAGER_ERROR_INVALID_OPTION;
  }
  return runtime->reservations().Hold(reinterpret_cast<uint64_t>(address), bytes,
                                      use == USERPAGER_HOLD_FOR_WRITING, error);
}

int ReleaseHold(const void* address, uint64_t bytes, LogLine* error) {
  Runtime* runtime = Runtime::Get();
  if (runtime == nullptr) return NotStarted("userpager_release", error);
  return runtime->reservations().ReleaseHold(reinterpret_cast<uint64_t>(address), bytes, error);
}

int CheckStatsBytes(uint32_t bytes, LogLine* error) {
  if (bytes >= sizeof(uint64_t) && bytes % sizeof(uint64_t) == 0) return 0;
  *error << "userpager_get_stats: struct_bytes is " << bytes
         << "; set it to sizeof(userpager_stats) before the call";
  return USERPAGER_ERROR_INVALID_OPTION;
}

int Collect(userpager_stats* stats, LogLine* error) {
  Runtime* runtime = Runtime::Get();
  if (runtime == nullptr) return NotStarted("userpager_get_stats", error);
  if (CollectStatistics(*runtime, stats) == 0) return 0;
  *error << "userpager_get_stats: no memory to add up the counters of all shards";
  return USERPAGER_ERROR_NO_MEMORY;
}

}  // namespace
}  // namespace userpager

using userpager::ExplainedInside;
using userpager::LogLine;

void userpager_options_init(userpager_options* options) { userpager::SetDefaults(options); }

int userpager_options_parse(userpager_options* options, const char* text) {
  return ExplainedInside(
      [=](LogLine* error) { return userpager::Parse(options, text, error); });
}

int userpager_start(const userpager_options* options) {
  return ExplainedInside(
      [=](LogLine* error) { return userpager::Runtime::Start(options, error); });
}

const char* userpager_error_message(void) { return userpager::ErrorMessage(); }

int userpager_set_memory_limit(uint64_t bytes) {
  return ExplainedInside(
      [=](LogLine* error) { return userpager::SetMemoryLimit(bytes, error); });
}

int userpager_hold(const void* address, uint64_t bytes, userpager_hold_use use) {
  // As C may have given it, which need not be one of its names.
  unsigned given = 0;
  static_assert(sizeof given == sizeof use);
  memcpy(&given, &use, sizeof given);
  return ExplainedInside(
      [=](LogLine* error) { return userpager::Hold(address, bytes, given, error); });
}

int userpager_release(const void* address, uint64_t bytes) {
  return ExplainedInside(
      [=](LogLine* error) { return userpager::ReleaseHold(address, bytes, error); });
}

int userpager_get_stats(userpager_stats* stats) {
  // The caller's memory is read and written without a lock held, like that of all calls above.
  return ExplainedInside([=](LogLine* error) {
    const uint32_t wanted = stats->struct_bytes;
    if (const int failed = userpager::CheckStatsBytes(wanted, error); failed != 0) return failed;
    userpager_stats all = {};
    if (const int failed = userpager::Collect(&all, error); failed != 0) return failed;
    all.struct_bytes = wanted;
    const size_t known = std::min<size_t>(wanted, sizeof all);
    memcpy(stats, &all, known);
    memset(reinterpret_cast<char*>(stats) + known, 0, wanted - known);
    return 0;
  });
}
