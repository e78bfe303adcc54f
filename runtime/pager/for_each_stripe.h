// Pager::ForEachStripe, for the sources that define functions of Pager.
#ifndef USERPAGER_PAGER_FOR_EACH_STRIPE_H_
#define USERPAGER_PAGER_FOR_EACH_STRIPE_H_

#include "runtime/pager/pager.h"
#include "runtime/pager/shard_thread.h"

namespace userpager {

// Calls function(shard, stripe, part) for the part of the range in each stripe, until one returns
// an error, and returns that.
Errno Pager::ForEachStripe(Vad& vad, PageRange range, auto function) {
  const uint64_t first = (range.begin - vad.range.begin).value() / vad.stripe_pages.value();
  for (size_t i = first; i < vad.stripes.size(); ++i) {
    Stripe& stripe = vad.stripes[i];
    const PageRange part = stripe.range.Clip(range);
    if (part.empty()) break;
    if (const Errno error = function(shards_[stripe.shard]->shard(), stripe, part); error != 0) {
      return error;
    }
  }
  return 0;
}

}  // namespace userpager

#endif  // USERPAGER_PAGER_FOR_EACH_STRIPE_H_
