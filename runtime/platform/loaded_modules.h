// LoadedModules: the program and the libraries that are loaded, with their build-ids, as a trace
// file has them.
#ifndef USERPAGER_PLATFORM_LOADED_MODULES_H_
#define USERPAGER_PLATFORM_LOADED_MODULES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"
#include "runtime/observe/trace_format.h"

namespace userpager {

class LoadedModules {
 public:
  // More are left out.
  static constexpr size_t kMost = 512;

  // ENOMEM: there is no room for them.
  Errno Init();
  // All modules, where any was loaded or unloaded since the last call; else nothing. They stay
  // until the next call. Takes the C library's lock of its list of modules, for a copy.
  std::span<const TraceModule> TakeIfChanged();

 private:
  ArenaArray<TraceModule> modules_;
  uint64_t loaded_ = 0;    // since the process began, at the last call
  uint64_t unloaded_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_LOADED_MODULES_H_
