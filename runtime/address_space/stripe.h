// Stripe: the part of one reservation that belongs to one shard, as the shard knows it. It is the
// VadTree's projection for the fault path: a fault finds its stripe in the shard's own index, under
// the shard's mutex, and never takes the tree's lock.
#ifndef USERPAGER_ADDRESS_SPACE_STRIPE_H_
#define USERPAGER_ADDRESS_SPACE_STRIPE_H_

#include <atomic>
#include <cstdint>

#include "runtime/address_space/pte.h"
#include "runtime/base/types.h"

namespace userpager {

// Pages whose PTEs fill one page of the PTE array. Of each such group one bit tells whether any of
// its PTEs was ever stored, so that walks over huge untouched ranges skip them.
inline constexpr uint64_t kPteGroupPages = kPageBytes / sizeof(PteWord);
using TouchedWord = std::atomic<uint64_t>;

// The first page at or after `page` in a touched group, or `end`. `begin` is the page of bit 0.
PageIndex NextTouchedPage(const TouchedWord* touched, PageIndex begin, PageIndex page,
                          PageIndex end);

// What becomes of pages that were reported as written: whether they still count as written.
enum class AfterCollecting : uint8_t { kKeep, kForget };

struct Stripe {
  PageRange range;
  PteWord* ptes = nullptr;         // of range.begin
  TouchedWord* touched = nullptr;  // bit 0 is the group of range.begin
  Pte default_pte;                 // what a word of zero means
  unsigned shard = 0;
  bool watches_writes = false;     // MEM_WRITE_WATCH; set before anybody knows the address

  Pte Load(PageIndex page) const {
    const uint64_t word = ptes[(page - range.begin).value()].load(std::memory_order_relaxed);
    return word == 0 ? default_pte : Pte::FromWord(word);
  }
  // Under the mutex of the shard.
  void Store(PageIndex page, Pte pte) {
    const uint64_t index = (page - range.begin).value();
    ptes[index].store(pte.word(), std::memory_order_relaxed);
    const uint64_t group = index / kPteGroupPages;
    const uint64_t bit = uint64_t{1} << (group % 64);
    TouchedWord& word = touched[group / 64];
    const uint64_t before = word.load(std::memory_order_relaxed);
    if ((before & bit) == 0) word.store(before | bit, std::memory_order_relaxed);
  }
  PageIndex NextTouched(PageIndex page, PageIndex end) const {
    return NextTouchedPage(touched, range.begin, page, end);
  }
  // Whether the page may be mapped so that stores go unnoticed. Where writes are watched, only if
  // it counts as written already.
  bool OpensToStores(Pte pte) const {
    return pte.protection().AllowsWrite() && (!watches_writes || pte.written());
  }
};

// The part of `range` in the group of pages that `page` is in, from `page` on.
PageRange GroupOf(const Stripe& stripe, PageIndex page, PageRange range);

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_STRIPE_H_
