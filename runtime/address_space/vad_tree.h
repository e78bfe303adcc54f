// The room address_space: what the program has reserved, page by page, and how much has been
// promised. Pure data: no system call, no thread, no wait; each part can be tested alone.
//
// Cast:
//   VadTree       all reservations by address: the truth that every API call asks first
//   Vad           one reservation: its pages, their PTE words, its stripes (vad.h)
//   Stripe        the part of a Vad that belongs to one shard, as the shard knows it (stripe.h)
//   Pte           one page's word: state, protection, location (pte.h)
//   Protection    a page's protection as VirtualAlloc knows it (protection.h)
//   CommitCharge  pages promised and the most that may be; its Token is a promise (commit_charge.h)
//   RangeMap      ranges of pages to pointers: the tree itself, and each shard's index of stripes
//   ForkRules     what forked children do not have as their parent has it (fork_rules.h)
//
// Flow:
//   reserve    the pager makes a Vad, the api puts it in the tree
//   commit     CommitCharge::Charge, then the pager changes PTE words, then Token::Keep
//   fault      the shard finds its Stripe in its own index and loads the Pte; never the VadTree
//   query      VadTree::AtOrAfter, then Vad::Load for each page of a run
//   decommit   the pager changes PTE words, then CommitCharge::Return
//   release    the api takes the Vad out of the tree, then the pager ends it
//
// Invariants (CheckConsistency walks those of the tree):
//   1. The footprints of two Vads do not overlap: address space is handed out in whole units of the
//      allocation granularity (64 KiB), and the rest of a Vad's last unit belongs to nobody. Only
//      placeholders, and what replaces them, divide a unit.
//   2. A Vad is in the tree under the footprint that it has now, and its range is not empty.
//   3. The stripes of a paged Vad cover its range in address order, without gap or overlap; others
//      have none.
//   4. A Vad has at most as many committed pages as pages.
//   5. A PTE word of zero means the Vad's default PTE; no other word lacks the bit `set`.
//   6. Pages charged = pages of kept tokens not yet returned + pages of tokens still alive.
//
// Locks: none of its own. The tree and the Vads are covered by the caller's kVadTree lock, PTE
//   words by the mutex of the shard that owns the page. CommitCharge needs none.
//
// What it does not do: it calls no kernel, owns no Vad, and does not know which shard is which.
#ifndef USERPAGER_ADDRESS_SPACE_VAD_TREE_H_
#define USERPAGER_ADDRESS_SPACE_VAD_TREE_H_

#include <cstddef>

#include "runtime/address_space/range_map.h"
#include "runtime/address_space/vad.h"
#include "runtime/base/types.h"

namespace userpager {

class VadTree {
 public:
  // Adds the Vad, which stays the caller's. EEXIST: its footprint overlaps another's. ENOMEM: the
  // arena has no memory. Nothing has changed after an error.
  [[nodiscard]] Errno Insert(Vad* vad);
  // Takes out a Vad that is in the tree, with the footprint that it had when it was inserted.
  void Erase(Vad* vad);

  // Gives a Vad of the tree another end. False, with nothing changed, if another's footprint is in
  // the way. Needs no memory.
  [[nodiscard]] bool Resize(Vad* vad, PageIndex end, bool exact_end);

  // The Vad whose range contains the page, or nullptr. The tail of a footprint behind the range is
  // in no Vad.
  Vad* Find(PageIndex page) const;
  // The Vad with the lowest address whose range ends above the page, or nullptr: the one that
  // contains the page, or the next one above it.
  Vad* AtOrAfter(PageIndex page) const;
  // The Vad that follows `vad` in address order, or nullptr.
  Vad* Next(const Vad& vad) const { return AtOrAfter(vad.range.end); }
  // Whether any of the pages belongs to a Vad or to the tail behind one.
  bool OverlapsFootprint(PageRange range) const;

  size_t size() const { return map_.size(); }
  // Walks the tree and its Vads; false, with a line on standard error, if an invariant is broken.
  bool CheckConsistency() const;

 private:
  RangeMap<Vad> map_;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_VAD_TREE_H_
