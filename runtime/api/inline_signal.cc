#include "runtime/api/inline_signal.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <utility>

#include "runtime/api/entry.h"
#include "runtime/api/fault_stacks.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/thread_state.h"
#include "runtime/pager/pager.h"
#include "runtime/platform/fault_context.h"

namespace userpager {
namespace {

constinit std::atomic<Pager*> the_pager{nullptr};

struct Question {
  Pager* pager;
  FaultMessage message;
  InlineNext answer;
};

void Ask(void* argument) {
  auto* const question = static_cast<Question*>(argument);
  question->answer = question->pager->AnswerInline(question->message);
}

// On a stack with room for all that the pager does, where there is memory for one.
InlineNext AskOnOwnStack(Pager* pager, const FaultMessage& message) {
  Question here{pager, message, InlineNext::kRepeat};
  void* const stack = FaultStacks::Take();
  if (stack == nullptr) {
    Ask(&here);
    return here.answer;
  }
  constexpr size_t kQuestionBytes = RoundUp(sizeof(Question), 64);
  auto* const there =
      new (static_cast<char*>(stack) + Entry::kStackBytes - kQuestionBytes) Question(here);
  Entry::Call(&Ask, there);
  const InlineNext answer = there->answer;
  FaultStacks::Give(stack);
  return answer;
}

uint32_t ThreadId(ThreadState& thread) {
  if (thread.id == 0) thread.id = static_cast<uint32_t>(syscall(SYS_gettid));
  return thread.id;
}

// The pager's answer, or what counts for it.
bool IsAnswered(Pager* pager, const siginfo_t& info, const ucontext_t& context) {
  ThreadState& thread = CurrentThread();
  FaultMessage message;
  message.address = reinterpret_cast<uint64_t>(info.si_addr);
  message.thread_id = ThreadId(thread);
  message.write = AccessOfFault(context) == AccessKind::kWrite;
  message.write_protect = message.write && WasPresent(context);
  const InlineNext answer = AskOnOwnStack(pager, message);
  if (answer != InlineNext::kNotManaged) return answer == InlineNext::kRepeat;
  // The memory may have been released between the fault and the look. It was not where no release
  // has ended since the thread looked at their number: it did so before the access that it repeats.
  const uint64_t releases = pager->CountReleases();
  return std::exchange(thread.releases_seen, releases) != releases;
}

}  // namespace

void InlineSignal::Attach(Pager* pager) { the_pager.store(pager, std::memory_order_release); }

bool InlineSignal::Answers(const siginfo_t& info, const ucontext_t& context) {
  Pager* const pager = the_pager.load(std::memory_order_acquire);
  // A signal that was sent is no fault.
  if (pager == nullptr || info.si_code <= 0 || ForkGuard::IsChild()) return false;
  int cancel_state = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  const bool answered = IsAnswered(pager, info, context);
  pthread_setcancelstate(cancel_state, nullptr);
  return answered;
}

}  // namespace userpager
