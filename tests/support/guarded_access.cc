#include "tests/support/guarded_access.h"

#include <setjmp.h>
#include <signal.h>

#include "absl/base/attributes.h"

namespace userpager {
namespace {

thread_local sigjmp_buf return_point;
thread_local volatile sig_atomic_t armed = 0;
thread_local volatile uint64_t fault_address = 0;

void OnSignal(int signal, siginfo_t* info, void*) {
  if (armed == 0) {
    // Not ours: the instruction is repeated and ends the process.
    struct sigaction ends{};
    ends.sa_handler = SIG_DFL;
    sigaction(signal, &ends, nullptr);
    return;
  }
  armed = 0;
  fault_address = reinterpret_cast<uint64_t>(info->si_addr);
  siglongjmp(return_point, signal);
}

// Probes race with each other and with what they probe on purpose, also those that are refused.
ABSL_ATTRIBUTE_NO_SANITIZE_THREAD ABSL_ATTRIBUTE_NOINLINE
uint64_t Load(const void* address) { return *static_cast<const volatile uint64_t*>(address); }

ABSL_ATTRIBUTE_NO_SANITIZE_THREAD ABSL_ATTRIBUTE_NOINLINE
void Store(void* address, uint64_t value) { *static_cast<volatile uint64_t*>(address) = value; }

void TakeSignals() {
  static const bool taken = [] {
    struct sigaction action{};
    action.sa_sigaction = OnSignal;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    return true;
  }();
  (void)taken;
}

}  // namespace

AccessOutcome TryRead(const void* address) {
  TakeSignals();
  const int signal = sigsetjmp(return_point, 1);
  if (signal != 0) return {signal, fault_address, 0};
  armed = 1;
  const uint64_t value = Load(address);
  armed = 0;
  return {0, 0, value};
}

AccessOutcome TryWrite(void* address, uint64_t value) {
  TakeSignals();
  const int signal = sigsetjmp(return_point, 1);
  if (signal != 0) return {signal, fault_address, 0};
  armed = 1;
  Store(address, value);
  armed = 0;
  return {};
}

}  // namespace userpager
