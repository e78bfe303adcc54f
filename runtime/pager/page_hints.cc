// Pager: what a program says and asks about pages beyond their contents: which were written, which
// it can do without, which it will want, which are in the working set.
#include <errno.h>

#include <algorithm>

#include "runtime/pager/for_each_stripe.h"

namespace userpager {

void Pager::TrimPages(Vad& vad, PageRange range) {
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.TrimPages(stripe, part);
    return 0;
  });
}

PageRange Pager::ReadPtes(Vad& vad, PageRange range, std::span<Pte> ptes) {
  PageRange read(range.end, range.end);
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    if (read.empty()) read = shard.ReadPtes(stripe, part, ptes);
    return 0;
  });
  return read;
}

void Pager::WatchWrites(Vad& vad) {
  vad.watches_writes = true;
  (void)ForEachStripe(vad, vad.range, [](Shard& shard, Stripe& stripe, PageRange) {
    shard.WatchWrites(stripe);
    return 0;
  });
}

size_t Pager::CollectWritten(Vad& vad, PageRange range, AfterCollecting after,
                             std::span<PageIndex> found, PageIndex* next) {
  size_t count = 0;
  *next = range.begin;
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    if (count == found.size()) return 0;
    count += shard.CollectWritten(stripe, part, after, found.subspan(count), next);
    return 0;
  });
  return count;
}

void Pager::ForgetWrites(Vad& vad, PageRange range) {
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.ForgetWrites(stripe, part);
    return 0;
  });
}

void Pager::ResetPages(Vad& vad, PageRange range) {
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.ResetPages(stripe, part);
    return 0;
  });
}

Errno Pager::OfferPages(Vad& vad, PageRange range, unsigned priority) {
  if (const Errno error = HideAll(vad, range); error != 0) return error;
  return ForEachStripe(vad, range, [=](Shard& shard, Stripe& stripe, PageRange part) {
    shard.OfferPages(stripe, part, priority);
    return 0;
  });
}

bool Pager::UndoReset(Vad& vad, PageRange range) {
  bool intact = true;
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    intact &= shard.ReclaimPages(stripe, part, false);
    return 0;
  });
  return intact;
}

bool Pager::ReclaimPages(Vad& vad, PageRange range) {
  bool intact = true;
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    intact &= shard.ReclaimPages(stripe, part, true);
    return 0;
  });
  return intact;
}

void Pager::DiscardPages(Vad& vad, PageRange range) {
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.DiscardPages(stripe, part);
    return 0;
  });
}

// Half of the memory limit at most: what came first would have to leave for what comes last.
void Pager::Prefetch(PageRange range) {
  const PageCount most(frames_.limit().value() / 2);
  range.end = std::min(range.end, range.begin + most);
  for (unsigned i = 0; i < options_.shards; ++i) {
    BringInRequest* request = ArenaNew<BringInRequest>();
    if (request == nullptr) return;
    request->range = range;
    request->kind = BringInKind::kPrefetch;
    if (shards_[i]->shard().Post(request)) {
      shards_[i]->Kick();
    } else {
      ArenaDelete(request);
    }
  }
}

}  // namespace userpager
