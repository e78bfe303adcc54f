// Contest: one kind of fault, the pager against its floors, so that drift of the machine hits all
// of them alike.
//
// Flow:  in each round every rival touches the same pages, one rival after the other; who begins
//        moves on with each round. The first round warms up and is not counted. A round's median of
//        the pager less the same round's median of the floor is the pager's own part of that round;
//        what is reported is the median over the rounds.
// Kinds: a touch counts only if it made a fault of the intended kind. kEachTouch asks the library
//        before and after each touch (of the floors' touches too: reading counters changes what is
//        in the caches). kWholeBlock asks before and after all touches of a round, and takes as
//        many of the slowest touches as there were faults: the others found their page there.
#ifndef USERPAGER_BENCH_SUPPORT_CONTEST_H_
#define USERPAGER_BENCH_SUPPORT_CONTEST_H_

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/managed_faults.h"
#include "bench/support/rival.h"
#include "bench/support/sample_set.h"

namespace userpager::bench {

enum class Counting : uint8_t { kEachTouch, kWholeBlock };

// What the pager's own part is the difference of.
enum class Compared : uint8_t {
  kFaults,   // medians of one fault each
  kTouches,  // means of all touches, where the pager answers for many pages with one fault
};

struct ContestOptions {
  unsigned rounds = 0;         // that are counted, at most
  unsigned touches = 0;        // of each rival in each round
  uint64_t time_limit_ns = 0;  // no further round begins after it, but for the first counted one
  Counting counting = Counting::kWholeBlock;
  Compared compared = Compared::kFaults;
};

// All that one rival did in the counted rounds.
struct RivalResult {
  RivalResult(Rival* r, size_t capacity) : rival(r), samples(capacity) {}

  Rival* rival;
  SampleSet samples;                      // the touches of the intended kind
  std::vector<double> round_medians;      // nanoseconds; 0 for a round without such touches
  std::vector<double> round_touch_means;  // nanoseconds for each touch, whatever it met
  uint64_t touches = 0;
};

class Contest {
 public:
  // `pages`: what is touched, in this order, `options.touches` in each round, over and over.
  Contest(std::vector<std::unique_ptr<Rival>> rivals, std::vector<uint32_t> pages,
          const ContestOptions& options)
      : rivals_(std::move(rivals)),
        pages_(std::move(pages)),
        options_(options),
        block_(options.touches) {
    for (const auto& rival : rivals_) {
      results_.emplace_back(rival.get(), size_t{options.rounds} * options.touches);
    }
  }

  void Run() {
    const uint64_t begin = NowNanoseconds();
    for (unsigned round = 0; round <= options_.rounds; ++round) {
      if (round > 1 && NowNanoseconds() - begin > options_.time_limit_ns) return;
      RunRound(round);
      if (round > 0) ++rounds_done_;
    }
  }

  const ContestOptions& options() const { return options_; }
  unsigned rounds_done() const { return rounds_done_; }
  std::vector<RivalResult>& results() { return results_; }
  // The rival with the role; null if there is none.
  RivalResult* Find(Role role) {
    for (RivalResult& result : results_) {
      if (result.rival->role() == role) return &result;
    }
    return nullptr;
  }

 private:
  void RunRound(unsigned round) {
    const size_t blocks = std::max<size_t>(pages_.size() / options_.touches, 1);
    const size_t first = round % blocks * options_.touches;
    const size_t count = std::min<size_t>(options_.touches, pages_.size() - first);
    const std::span<const uint32_t> pages = std::span(pages_).subspan(first, count);
    for (size_t i = 0; i < results_.size(); ++i) {
      RivalResult& result = results_[(i + round) % results_.size()];
      const double touch_mean = RunBlock(*result.rival, pages);
      if (round == 0) continue;
      result.touches += count;
      result.round_touch_means.push_back(touch_mean);
      result.samples.Add(block_.samples());
      result.round_medians.push_back(static_cast<double>(block_.Percentile(500)));
    }
  }

  // Leaves the touches of the intended kind in block_; returns the mean of all touches.
  double RunBlock(Rival& rival, std::span<const uint32_t> pages) {
    rival.Prepare(pages);
    block_.Clear();
    uint64_t total = 0;
    const uint64_t faults_before = rival.IntendedFaults();
    for (const uint32_t page : pages) {
      const uint64_t took = options_.counting == Counting::kEachTouch ? TouchCounted(rival, page)
                                                                      : TouchUncounted(rival, page);
      total += took;
    }
    if (options_.counting == Counting::kWholeBlock) {
      block_.KeepLargest(FaultsSince(rival, faults_before, pages.size()));
    }
    return static_cast<double>(total) / static_cast<double>(pages.size());
  }

  uint64_t TouchUncounted(Rival& rival, uint32_t page) {
    const uint64_t took = rival.Touch(page);
    block_.Add(took);
    return took;
  }

  uint64_t TouchCounted(Rival& rival, uint32_t page) {
    static_cast<void>(FaultCounts());
    const uint64_t faults_before = rival.IntendedFaults();
    const uint64_t took = rival.Touch(page);
    if (FaultsSince(rival, faults_before, 1) > 0) block_.Add(took);
    return took;
  }

  // The thread that answers a fault may count it only after the touching thread has gone on, and it
  // may need this CPU for that.
  static uint64_t FaultsSince(Rival& rival, uint64_t before, uint64_t expected) {
    constexpr int kPatience = 50;
    uint64_t faults = rival.IntendedFaults() - before;
    for (int i = 0; i < kPatience && faults < expected; ++i) {
      sched_yield();
      faults = rival.IntendedFaults() - before;
    }
    return faults;
  }

  const std::vector<std::unique_ptr<Rival>> rivals_;
  const std::vector<uint32_t> pages_;
  const ContestOptions options_;
  SampleSet block_;
  std::vector<RivalResult> results_;
  unsigned rounds_done_ = 0;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_CONTEST_H_
