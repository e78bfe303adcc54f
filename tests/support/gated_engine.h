// GatedEngine: an IoEngine in front of another one that keeps requests or completions back until a
// test lets them go, so that a page stays Reading or Writing for as long as the test wants.
#ifndef USERPAGER_TESTS_SUPPORT_GATED_ENGINE_H_
#define USERPAGER_TESTS_SUPPORT_GATED_ENGINE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <vector>

#include "runtime/page_file/io_engine.h"

namespace userpager {

// One thread uses it as an engine; the gates are opened and closed by any. Whoever opens one has to
// wake the engine's thread afterwards: an engine waits in the kernel.
class GatedEngine : public IoEngine {
 public:
  explicit GatedEngine(IoEngine* inner) : inner_(inner) {}

  // Requests are not passed on: the device knows nothing of them.
  void HoldRequests() { hold_requests_.store(true); }
  // Reads or writes are passed on and done; nobody hears of it until they are let go.
  void HoldReads() { hold_all_[Index(IoDirection::kRead)].store(true); }
  void HoldWrites() { hold_all_[Index(IoDirection::kWrite)].store(true); }
  // The same for the next read or write alone that comes.
  void HoldNext(IoDirection direction) { hold_next_[Index(direction)].store(true); }
  // Ends all holding and lets go of all.
  void LetGo() {
    hold_requests_.store(false);
    for (unsigned direction : {0u, 1u}) {
      hold_all_[direction].store(false);
      hold_next_[direction].store(false);
    }
    ++releases_;
  }

  // In a forked child, in which none of this is under way.
  void ForgetInChild() {
    LetGo();
    for (std::atomic<unsigned>* count : {&at_device_, &held_requests_, &held_[0], &held_[1]}) {
      count->store(0);
    }
    releases_seen_ = releases_.load();
    transfers_.clear();
    requests_.clear();
    completed_.clear();
  }

  // Transfers that the device has and has not done.
  unsigned at_device() const { return at_device_.load(); }
  unsigned held_requests() const { return held_requests_.load(); }
  unsigned held_reads() const { return held_[Index(IoDirection::kRead)].load(); }
  unsigned held_writes() const { return held_[Index(IoDirection::kWrite)].load(); }
  // How often it was asked what has come.
  unsigned waits() const { return waits_.load(); }

  Errno Open() override { return inner_->Open(); }
  unsigned capacity() const override { return inner_->capacity(); }

  void Submit(const IoRequest& request) override {
    const bool kept = hold_next_[Index(request.direction)].exchange(false) ||
                      hold_all_[Index(request.direction)].load();
    transfers_[request.tag] = {request.direction, kept};
    if (hold_requests_.load()) {
      requests_.push_back(request);
      ++held_requests_;
    } else {
      PassOn(request);
    }
  }

  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override {
    inner_->SubmitMessageRead(descriptor, buffer, buffer_bytes, tag);
  }

  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override {
    ++waits_;
    if (!hold_requests_.load()) {
      for (const IoRequest& request : requests_) PassOn(request);
      requests_.clear();
      held_requests_.store(0);
    }
    size_t count = TakeReleased(completions);
    IoCompletion done[64];
    const size_t room = std::min(std::size(done), completions.size() - count);
    if (room == 0) return count;
    const size_t came = inner_->Wait({done, room}, count > 0 ? 0 : timeout_ns);
    for (size_t i = 0; i < came; ++i) {
      const auto found = transfers_.find(done[i].tag);
      if (found != transfers_.end()) {
        --at_device_;
        if (found->second.kept && releases_.load() == releases_seen_) {
          ++held_[Index(found->second.direction)];
          completed_.push_back(done[i]);
          continue;
        }
        transfers_.erase(found);
      }
      completions[count++] = done[i];
    }
    return count;
  }

 private:
  struct Transfer {
    IoDirection direction;
    bool kept;
  };

  static constexpr unsigned Index(IoDirection direction) {
    return direction == IoDirection::kWrite;
  }

  void PassOn(const IoRequest& request) {
    ++at_device_;
    inner_->Submit(request);
  }

  // What was held back when the gates were opened last.
  size_t TakeReleased(std::span<IoCompletion> completions) {
    const unsigned releases = releases_.load();
    if (releases == releases_seen_) return 0;
    size_t count = 0;
    while (!completed_.empty() && count < completions.size()) {
      const auto found = transfers_.find(completed_.back().tag);
      --held_[Index(found->second.direction)];
      transfers_.erase(found);
      completions[count++] = completed_.back();
      completed_.pop_back();
    }
    if (completed_.empty()) {
      for (auto& [tag, transfer] : transfers_) transfer.kept = false;
      releases_seen_ = releases;
    }
    return count;
  }

  IoEngine* const inner_;
  std::atomic<bool> hold_requests_{false};
  std::atomic<bool> hold_all_[2] = {false, false};
  std::atomic<bool> hold_next_[2] = {false, false};
  std::atomic<unsigned> releases_{0};
  std::atomic<unsigned> at_device_{0};
  std::atomic<unsigned> held_requests_{0};
  std::atomic<unsigned> held_[2] = {0, 0};
  std::atomic<unsigned> waits_{0};
  // Of the engine's thread alone.
  unsigned releases_seen_ = 0;
  std::map<uint64_t, Transfer> transfers_;  // that the shard waits for, by tag
  std::vector<IoRequest> requests_;
  std::vector<IoCompletion> completed_;
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_GATED_ENGINE_H_
