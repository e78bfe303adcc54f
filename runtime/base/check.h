// Checks of the runtime's own invariants. They stay on in release builds: a pager that goes on with
// a broken invariant answers with wrong bytes, and a crash is better than that.
#ifndef USERPAGER_BASE_CHECK_H_
#define USERPAGER_BASE_CHECK_H_

#include <cstdint>

#include "absl/base/optimization.h"

namespace userpager {

// Writes one line that names the place, the condition and `value`, then aborts. Needs no malloc.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const char* meaning, uint64_t value);

}  // namespace userpager

// `meaning` says in words which invariant is broken; `value` is the number that shows it (an
// address, a state, an errno).
#define USERPAGER_CHECK(condition, meaning, value)                                    \
  do {                                                                                \
    if (ABSL_PREDICT_FALSE(!(condition))) {                                           \
      ::userpager::CheckFailed(__FILE__, __LINE__, #condition, meaning,               \
                               static_cast<uint64_t>(value));                         \
    }                                                                                 \
  } while (false)

#endif  // USERPAGER_BASE_CHECK_H_
