// Free address space that meets requirements: what VirtualAlloc2's MEM_ADDRESS_REQUIREMENTS and
// MEM_TOP_DOWN ask for and mmap cannot be told.
#ifndef USERPAGER_PLATFORM_ADDRESS_SEARCH_H_
#define USERPAGER_PLATFORM_ADDRESS_SEARCH_H_

#include "runtime/base/types.h"
#include "runtime/platform/address_map.h"

namespace userpager {

struct AddressRequirements {
  PageIndex lowest{kGranularityPages};    // nothing below it
  PageIndex end = kEndOfAddressSpace;     // nothing at or above it
  PageCount alignment{kGranularityPages};  // a power of two of units
};

// Finds `pages` free pages that meet the requirements, with the rest of their last unit free too.
// Takes the place that the kernel would choose where it fits, else the highest that does. Nothing
// is taken: another thread may be quicker. ENOMEM: none fits.
Errno FindFreeAddress(const AddressRequirements& where, PageCount pages, PageIndex* at);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_ADDRESS_SEARCH_H_
