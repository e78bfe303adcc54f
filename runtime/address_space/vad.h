// Vad: virtual address descriptor, one reservation. Made by Pager::Reserve, kept in the VadTree,
// ended by Pager::Release. Everything but the PTE words is protected by the VadTree's lock.
#ifndef USERPAGER_ADDRESS_SPACE_VAD_H_
#define USERPAGER_ADDRESS_SPACE_VAD_H_

#include <span>

#include "runtime/address_space/pte.h"
#include "runtime/address_space/stripe.h"
#include "runtime/base/arena.h"
#include "runtime/base/types.h"

namespace userpager {

enum class VadKind : uint8_t {
  kPaged,        // the pager's: faults in it are answered by its shards
  kPlaceholder,  // address space that is held, for a later reservation or for MEM_PHYSICAL; no page
                 // can be committed
  kLargePages,   // all committed, always in memory, the kernel's own pages
};

// Only a paged one has PTE words and stripes.
struct Vad {
  VadKind kind = VadKind::kPaged;
  bool from_placeholder = false;      // it is a placeholder or has replaced one
  bool exact_end = false;             // it was split off: what follows its range is not its own
  bool watches_writes = false;        // MEM_WRITE_WATCH
  PageRange range;                    // the pages that were reserved
  Protection allocation_protection;   // as given when the range was reserved
  Pte default_pte;                    // what a PTE word of zero means
  PageCount committed;                // pages that are committed now
  // One bit a group of kPteGroupPages pages. Up to here it is one cache line: all that a query
  // looks at where nothing was touched.
  ShortArenaArray<TouchedWord> touched;
  ArenaArray<PteWord> ptes;           // one a page of `range`
  ArenaArray<Stripe> stripes;         // in address order, without gaps
  PageCount stripe_pages;             // of each stripe but the last
  PageCount foreign;                  // reserved pages where the program has a mapping of its own
  ShortArenaArray<uint64_t> opened;   // one bit a 2 MiB span that the kernel lets be accessed

  // The address space that is taken: up to a whole unit of the allocation granularity, of which the
  // tail beyond `range` can be neither used nor reserved. Placeholders are split at pages; the tail
  // stays with the last piece.
  PageRange footprint() const {
    const PageIndex end(exact_end ? range.end.value()
                                  : RoundUp(range.end.value(), kGranularityPages));
    return PageRange(range.begin, end);
  }

  // State and protection of a page of `range`. Needs the VadTree's lock; where a page's content is
  // (everything below `committed`) may change at any time without its shard's mutex.
  Pte Load(PageIndex page) const {
    const uint64_t word = ptes[(page - range.begin).value()].load(std::memory_order_relaxed);
    return word == 0 ? default_pte : Pte::FromWord(word);
  }
  // The first page at or after `page` whose PTE may differ from the default, or `end`.
  PageIndex NextTouched(PageIndex page, PageIndex end) const {
    return NextTouchedPage(touched.data(), range.begin, page, end);
  }
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_VAD_H_
