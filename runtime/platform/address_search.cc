#include "runtime/platform/address_search.h"

#include <errno.h>
#include <sys/mman.h>

#include <algorithm>

#include "runtime/platform/process_map.h"

namespace userpager {
namespace {

// The highest place in the gap that meets the requirements; false where none does.
bool FitInGap(PageRange gap, const AddressRequirements& where, PageCount pages, PageIndex* at) {
  const uint64_t footprint = RoundUp(pages.value(), kGranularityPages);
  const uint64_t lowest = std::max(gap.begin, where.lowest).value();
  if (gap.end.value() < footprint || where.end.value() < pages.value()) return false;
  const uint64_t highest =
      std::min(gap.end.value() - footprint, where.end.value() - pages.value());
  const uint64_t aligned = RoundDown(highest, where.alignment.value());
  if (aligned < lowest) return false;
  *at = PageIndex(aligned);
  return true;
}

// What the kernel has free where it places mappings of its own choice, which is beside the others
// and away from the stack and the heap.
bool AskKernel(PageCount pages, PageCount alignment, PageRange* free) {
  const uint64_t bytes = RoundUp(BytesOf(pages), kGranularityBytes) + BytesOf(alignment);
  if (bytes < BytesOf(pages)) return false;
  void* got = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) return false;
  munmap(got, bytes);
  *free = PageRange(PageOf(got), PageCount(bytes / kPageBytes));
  return true;
}

}  // namespace

Errno FindFreeAddress(const AddressRequirements& where, PageCount pages, PageIndex* at) {
  PageRange free;
  if (AskKernel(pages, where.alignment, &free) && FitInGap(free, where, pages, at)) return 0;
  ProcessMap map;
  if (map.Open() != 0) return ENOMEM;
  bool found = false;
  PageIndex gap_begin;
  ProcessMapping next;
  while (gap_begin < where.end && map.AtOrAfter(gap_begin, &next) == 0) {
    if (gap_begin < next.range.begin) {
      found = FitInGap(PageRange(gap_begin, next.range.begin), where, pages, at) || found;
    }
    gap_begin = next.range.end;
  }
  if (gap_begin < where.end) {
    found = FitInGap(PageRange(gap_begin, kEndOfAddressSpace), where, pages, at) || found;
  }
  return found ? 0 : ENOMEM;
}

}  // namespace userpager
