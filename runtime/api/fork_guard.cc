#include "runtime/api/fork_guard.h"

#include <pthread.h>

#include <atomic>

#include "runtime/api/runtime.h"
#include "runtime/base/log_line.h"

namespace userpager {
namespace {

constinit std::atomic<bool> installed{false};
constinit std::atomic<bool> is_child{false};
constinit std::atomic<bool> said{false};

}  // namespace

void ForkGuard::NoteChild() {
  is_child.store(true, std::memory_order_relaxed);
  Runtime::ForgetPageInChild();
}

void ForkGuard::Install() {
  if (installed.exchange(true)) return;
  pthread_atfork(nullptr, nullptr, &NoteChild);
}

void ForkGuard::Release() { is_child.store(false, std::memory_order_relaxed); }

bool ForkGuard::IsChild() { return is_child.load(std::memory_order_relaxed); }

bool ForkGuard::RefuseInChild() {
  if (!IsChild()) return false;
  if (!said.exchange(true)) {
    LogLine line;
    line << kExplanation;
    line.Write();
  }
  return true;
}

}  // namespace userpager
