#include "runtime/platform/fault_waiters.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace userpager {

FaultTicket FaultWaiters::Join(PageIndex page) {
  const auto word = static_cast<uint32_t>(page.value() % kWords);
  words_[word].joined.fetch_add(1);
  words_[word].unanswered.fetch_add(1);
  return {word, words_[word].wakes.load()};
}

void FaultWaiters::Await(FaultTicket ticket) {
  Word& word = words_[ticket.word];
  while (word.wakes.load() == ticket.seen) {
    syscall(SYS_futex, &word.wakes, FUTEX_WAIT_PRIVATE, ticket.seen, nullptr, nullptr, 0);
  }
  word.joined.fetch_sub(1);
}

void FaultWaiters::Wake(PageRange range) {
  const uint64_t count = std::min<uint64_t>(range.count().value(), kWords);
  for (uint64_t i = 0; i < count; ++i) {
    Word& word = words_[(range.begin.value() + i) % kWords];
    if (word.joined.load() == 0) continue;
    word.unanswered.store(0);
    word.wakes.fetch_add(1);
    syscall(SYS_futex, &word.wakes, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
}

uint64_t FaultWaiters::Unanswered() const {
  uint64_t count = 0;
  for (const Word& word : words_) count += word.unanswered.load();
  return count;
}

uint64_t FaultWaiters::Joined() const {
  uint64_t count = 0;
  for (const Word& word : words_) count += word.joined.load();
  return count;
}

}  // namespace userpager
