#include "runtime/address_space/vad_tree.h"

#include "runtime/base/check.h"
#include "runtime/base/log_line.h"

namespace userpager {
namespace {

bool Broken(const char* rule, const Vad& vad) {
  LogLine line;
  line << "the VAD tree is inconsistent: " << rule << " (reservation at "
       << Hex{AddressOf(vad.range.begin)} << ")";
  line.Write();
  return false;
}

bool StripesCover(const Vad& vad) {
  if (vad.kind != VadKind::kPaged) return vad.stripes.size() == 0;
  PageIndex expected = vad.range.begin;
  for (size_t i = 0; i < vad.stripes.size(); ++i) {
    const PageRange range = vad.stripes[i].range;
    if (range.empty() || range.begin != expected) return false;
    expected = range.end;
  }
  return expected == vad.range.end;
}

}  // namespace

Errno VadTree::Insert(Vad* vad) { return map_.Insert(vad->footprint(), vad); }

void VadTree::Erase(Vad* vad) {
  const Vad* erased = map_.Erase(vad->footprint().begin);
  USERPAGER_CHECK(erased == vad, "a reservation was to be taken out of a tree that it is not in",
                  AddressOf(vad->range.begin));
}

bool VadTree::Resize(Vad* vad, PageIndex end, bool exact_end) {
  const PageRange range_before = vad->range;
  const bool exact_before = vad->exact_end;
  vad->range.end = end;
  vad->exact_end = exact_end;
  if (map_.Resize(range_before.begin, vad->footprint())) return true;
  vad->range = range_before;
  vad->exact_end = exact_before;
  return false;
}

Vad* VadTree::Find(PageIndex page) const {
  Vad* vad = map_.Find(page);
  return vad != nullptr && vad->range.Contains(page) ? vad : nullptr;
}

Vad* VadTree::AtOrAfter(PageIndex page) const {
  const RangeMap<Vad>::Entry entry = map_.FindAtOrAfter(page);
  if (entry.value == nullptr || page < entry.value->range.end) return entry.value;
  // The page is in the tail behind that Vad; no page of the next footprint is below it.
  return map_.FindAtOrAfter(entry.range.end).value;
}

bool VadTree::OverlapsFootprint(PageRange range) const {
  if (range.empty()) return false;
  const RangeMap<Vad>::Entry entry = map_.FindAtOrAfter(range.begin);
  return entry.value != nullptr && entry.range.Overlaps(range);
}

bool VadTree::CheckConsistency() const {
  if (!map_.CheckConsistency()) return false;
  PageIndex next;
  for (size_t i = 0; i < map_.size(); ++i) {
    const RangeMap<Vad>::Entry entry = map_.FindAtOrAfter(next);
    const Vad& vad = *entry.value;
    if (vad.range.empty()) return Broken("2, it has no pages", vad);
    if (vad.footprint() != entry.range) return Broken("2, its footprint has changed", vad);
    if (!StripesCover(vad)) return Broken("3, its stripes do not cover it", vad);
    if (vad.committed > vad.range.count()) return Broken("4, it has too many commitments", vad);
    next = entry.range.end;
  }
  return true;
}

}  // namespace userpager
