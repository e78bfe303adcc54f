// FailingEngine: an IoEngine that puts storage faults between a shard and another engine, by seed:
// the same seed and the same calls give the same faults.
#ifndef USERPAGER_TESTS_SUPPORT_FAILING_ENGINE_H_
#define USERPAGER_TESTS_SUPPORT_FAILING_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <random>
#include <vector>

#include "runtime/page_file/io_engine.h"

namespace userpager {

// Probabilities from 0 to 1, of each request.
struct FailurePlan {
  double fail_read = 0;        // EIO, nothing transferred
  double fail_write = 0;
  double shorten = 0;          // the first half is transferred, and the result says so
  double corrupt_read = 0;     // one bit is wrong
  double drop_write = 0;       // not done, reported as done
  double tear_write = 0;       // half done, reported as done
  double misdirect_write = 0;  // done one page beside its place, reported as done
  double hold_back = 0;        // the completion comes up to hold_back_waits calls of Wait later
  unsigned hold_back_waits = 3;
  bool reorder = false;        // completions of one Wait come in a random order
};

// One thread uses it; the Fail functions may be called by any.
class FailingEngine : public IoEngine {
 public:
  // `inner` outlives this engine and is opened by it.
  FailingEngine(IoEngine* inner, const FailurePlan& plan, uint64_t seed);

  Errno Open() override;
  unsigned capacity() const override { return inner_->capacity(); }
  void Submit(const IoRequest& request) override;
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override;
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override;

  // The next `count` reads or writes to be submitted fail with EIO; corrupted reads have one wrong
  // bit. Before the plan is asked.
  void FailNextReads(unsigned count) { reads_to_fail_.store(count); }
  void FailNextWrites(unsigned count) { writes_to_fail_.store(count); }
  void CorruptNextReads(unsigned count) { reads_to_corrupt_.store(count); }
  // Faults injected so far; delays and orders are none.
  uint64_t faults() const { return faults_.load(); }

 private:
  enum class Fate : uint8_t { kGood, kFail, kShorten, kCorrupt, kDrop, kTear, kMisdirect };

  struct Pending {
    bool in_use = false;
    bool message = false;
    Fate fate = Fate::kGood;
    uint64_t tag = 0;
    std::span<const iovec> parts;  // the caller's
    std::vector<iovec> cut;        // what the inner engine sees of a half transfer
    uint64_t bytes = 0;
  };
  struct Held {
    IoCompletion completion;
    unsigned waits_left;
  };

  bool Happens(double probability);
  Fate DrawFate(IoDirection direction);
  size_t TakePending();
  int64_t Outcome(Pending* pending, int64_t result);
  void FlipBit(const Pending& pending, uint64_t bytes);
  void CollectInner(uint64_t timeout_ns);
  void Age();

  IoEngine* inner_;
  FailurePlan plan_;
  std::mt19937_64 random_;
  std::vector<Pending> pending_;
  std::vector<IoCompletion> ready_;
  std::vector<Held> held_;
  std::atomic<unsigned> reads_to_fail_{0};
  std::atomic<unsigned> writes_to_fail_{0};
  std::atomic<unsigned> reads_to_corrupt_{0};
  std::atomic<uint64_t> faults_{0};
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_FAILING_ENGINE_H_
