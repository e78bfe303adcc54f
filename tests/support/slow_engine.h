// SlowEngine: an IoEngine in front of another one, whose every transfer takes a time of the test's
// choice longer.
#ifndef USERPAGER_TESTS_SUPPORT_SLOW_ENGINE_H_
#define USERPAGER_TESTS_SUPPORT_SLOW_ENGINE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <set>

#include "runtime/base/clock.h"
#include "runtime/page_file/io_engine.h"

namespace userpager {

// One thread uses it as an engine.
class SlowEngine : public IoEngine {
 public:
  explicit SlowEngine(IoEngine* inner) : inner_(inner) {}

  // Of transfers that end from now on. From any thread.
  void set_delay_ns(uint64_t delay_ns) { delay_ns_.store(delay_ns); }

  Errno Open() override { return inner_->Open(); }
  unsigned capacity() const override { return inner_->capacity(); }
  void Submit(const IoRequest& request) override {
    transfers_.insert(request.tag);
    inner_->Submit(request);
  }
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override {
    inner_->SubmitMessageRead(descriptor, buffer, buffer_bytes, tag);
  }
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override {
    const uint64_t begin_ns = NowNanoseconds();
    for (;;) {
      const uint64_t passed_ns = NowNanoseconds() - begin_ns;
      uint64_t left_ns = timeout_ns == kNoTimeout ? kNoTimeout
                                                  : timeout_ns - std::min(timeout_ns, passed_ns);
      const bool last = left_ns == 0;
      if (!late_.empty()) left_ns = std::min(left_ns, UntilNext());
      size_t count = inner_->Wait(completions, left_ns);
      count = PutOff(completions.first(count));
      while (count < completions.size() && !late_.empty() && UntilNext() == 0) {
        completions[count++] = late_.front().completion;
        late_.pop_front();
      }
      if (count > 0 || last) return count;
    }
  }

 private:
  struct Late {
    uint64_t due_ns;
    IoCompletion completion;
  };

  uint64_t UntilNext() const {
    const uint64_t now_ns = NowNanoseconds();
    return late_.front().due_ns - std::min(late_.front().due_ns, now_ns);
  }
  // Returns how many stay.
  size_t PutOff(std::span<IoCompletion> completions) {
    size_t stay = 0;
    for (const IoCompletion& one : completions) {
      if (transfers_.erase(one.tag) == 0) {
        completions[stay++] = one;
      } else {
        late_.push_back({NowNanoseconds() + delay_ns_.load(), one});
      }
    }
    return stay;
  }

  IoEngine* inner_;
  std::atomic<uint64_t> delay_ns_{0};
  std::multiset<uint64_t> transfers_;  // tags; those of messages are other numbers
  std::deque<Late> late_;              // in the order in which they ended
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_SLOW_ENGINE_H_
