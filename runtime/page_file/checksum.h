// CRC32C (Castagnoli), the checksum of every slot. Uses the processor's instruction where it has
// one, chosen at run time, else tables. RFC 3720, appendix B.4 has the test vectors.
#ifndef USERPAGER_PAGE_FILE_CHECKSUM_H_
#define USERPAGER_PAGE_FILE_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

namespace userpager {

uint32_t Crc32c(const void* data, size_t bytes);

// The same by tables alone: the way of processors without the instruction, and what tests hold the
// instruction against.
uint32_t Crc32cByTables(const void* data, size_t bytes);

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_CHECKSUM_H_
