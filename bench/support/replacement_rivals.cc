#include "bench/support/replacement_rivals.h"

#include <deque>
#include <limits>
#include <set>
#include <utility>
#include <vector>

namespace userpager::bench {
namespace {

// For each access, when its page is accessed next.
std::vector<uint64_t> NextUses(const AccessTrace& trace) {
  constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  std::vector<uint64_t> next(trace.pages.size());
  std::vector<uint64_t> later(trace.page_count, kNever);
  for (size_t i = trace.pages.size(); i-- > 0;) {
    next[i] = std::exchange(later[trace.pages[i]], i);
  }
  return next;
}

using Key = std::pair<uint64_t, uint64_t>;

// Runs the trace from access `begin` on over pages in an order of the policy's own: the least of
// them goes first. `key_of(page, i, before)` is a page's place in it after access i; `before` is
// where it was, or nullptr for a page that was not in memory.
template <typename KeyOf>
TraceCost RunOrdered(const AccessTrace& trace, size_t begin, uint32_t memory,
                     const KeyOf& key_of) {
  std::set<std::pair<Key, uint32_t>> resident;
  std::vector<std::pair<bool, Key>> where(trace.page_count);
  TraceCost cost;
  for (size_t i = begin; i < trace.pages.size(); ++i) {
    const uint32_t page = trace.pages[i];
    auto& [is_resident, key] = where[page];
    if (is_resident) {
      resident.erase({key, page});
    } else {
      cost.misses += i >= trace.counted_from;
      if (resident.size() == memory) {
        where[resident.begin()->second].first = false;
        resident.erase(resident.begin());
      }
    }
    key = key_of(page, i, is_resident ? &key : nullptr);
    is_resident = true;
    resident.insert({key, page});
  }
  return cost;
}

}  // namespace

TraceCost RunOptimal(const AccessTrace& trace, uint32_t memory) {
  const std::vector<uint64_t> next = NextUses(trace);
  // The uncounted accesses touch each page once: the last of them are what is in memory.
  const size_t begin = trace.counted_from > memory ? trace.counted_from - memory : 0;
  return RunOrdered(trace, begin, memory, [&](uint32_t, size_t i, const Key*) {
    return Key{~next[i], 0};
  });
}

TraceCost RunLru(const AccessTrace& trace, uint32_t memory) {
  return RunOrdered(trace, 0, memory, [](uint32_t, size_t i, const Key*) {
    return Key{i, 0};
  });
}

TraceCost RunLfu(const AccessTrace& trace, uint32_t memory) {
  std::vector<uint64_t> uses(trace.page_count);
  return RunOrdered(trace, 0, memory, [&](uint32_t page, size_t i, const Key*) {
    return Key{++uses[page], i};
  });
}

TraceCost RunFifo(const AccessTrace& trace, uint32_t memory) {
  return RunOrdered(trace, 0, memory, [](uint32_t, size_t i, const Key* before) {
    return before != nullptr ? *before : Key{i, 0};
  });
}

TraceCost RunClock(const AccessTrace& trace, uint32_t memory) {
  enum class State : uint8_t { kOut, kResident, kReferenced };
  std::vector<State> states(trace.page_count);
  std::deque<uint32_t> hand;
  TraceCost cost;
  for (size_t i = 0; i < trace.pages.size(); ++i) {
    const uint32_t page = trace.pages[i];
    if (states[page] != State::kOut) {
      states[page] = State::kReferenced;
      continue;
    }
    cost.misses += i >= trace.counted_from;
    while (hand.size() == memory) {
      const uint32_t oldest = hand.front();
      hand.pop_front();
      if (states[oldest] == State::kReferenced) {
        states[oldest] = State::kResident;
        hand.push_back(oldest);
      } else {
        states[oldest] = State::kOut;
      }
    }
    states[page] = State::kResident;
    hand.push_back(page);
  }
  return cost;
}

}  // namespace userpager::bench
