// Options: userpager_options filled, read from text, checked, and made complete with what only the
// machine can tell. All functions are thread-safe and hold no state.
#ifndef USERPAGER_API_OPTIONS_H_
#define USERPAGER_API_OPTIONS_H_

#include <userpager/userpager.h>

#include <cstdint>
#include <string_view>

#include "runtime/api/machine_memory.h"
#include "runtime/base/log_line.h"

namespace userpager {

void SetDefaults(userpager_options* options);

// Reads text in the form of USERPAGER_CONF. `where` names it in messages. On failure `options` is
// unchanged and `error` has the line. Returns 0 or USERPAGER_ERROR_INVALID_OPTION.
int ParseOptions(std::string_view text, const char* where, const MachineMemory& machine,
                 userpager_options* options, LogLine* error);

// Whether every field has a value that it may have. Returns 0 or USERPAGER_ERROR_INVALID_OPTION.
int CheckOptions(const userpager_options& options, LogLine* error);

// Puts numbers where the options say 0 for "as much as fits": the memory limit, and the page file's
// maximum. Looks at the file system of the page file; one that cannot be looked at is left for the
// opening of the page file to report.
void CompleteOptions(const MachineMemory& machine, userpager_options* options);

// Whether the pager can run with that memory limit. Returns 0 or USERPAGER_ERROR_MEMORY_LIMIT.
int CheckMemoryLimit(uint64_t limit_bytes, uint32_t shards, const MachineMemory& machine,
                     LogLine* error);

}  // namespace userpager

#endif  // USERPAGER_API_OPTIONS_H_
