// What ThreadSanitizer is told, in every test program.
#include "tests/support/sanitizers.h"

#if defined(__SANITIZE_THREAD__) || USERPAGER_HAS_FEATURE(thread_sanitizer)
// The hooks that tests hang into faults run in the handler of a signal where the faulting thread
// answers itself. That signal comes of a touch of managed memory, so never in the middle of malloc.
// And a process that ends while other threads run does not wait a second for their races to show:
// tests end hundreds of them. And a forked child that pages on its own makes threads.
extern "C" const char* __tsan_default_options() {
  return "report_signal_unsafe=0:atexit_sleep_ms=0:die_after_fork=0";
}
#endif
