#include "runtime/base/check.h"

#include <stdlib.h>

#include "runtime/base/log_line.h"

namespace userpager {

void CheckFailed(const char* file, int line, const char* condition, const char* meaning,
                 uint64_t value) {
  LogLine text;
  text << "stopped: a rule of the pager itself is broken: " << meaning << " (value "
            << Hex{value} << "; " << condition << " at " << file << ":" << line
            << "); going on could lose data";
  text.Write();
  abort();
}

}  // namespace userpager
