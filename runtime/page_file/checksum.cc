#include "runtime/page_file/checksum.h"

#include <string.h>

#include <array>

#include "absl/base/attributes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define USERPAGER_CRC_INSTRUCTION __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define USERPAGER_CRC_INSTRUCTION
#endif

namespace userpager {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed

using ByteTable = std::array<uint32_t, 256>;

// kTables[k][b]: what byte b does to the checksum when k zero bytes follow it, so that eight bytes
// are worked off at a time ("slicing by 8": Kounavis and Berry, 2005).
constexpr std::array<ByteTable, 8> MakeTables() {
  std::array<ByteTable, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < tables.size(); ++k) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr std::array<ByteTable, 8> kTables = MakeTables();

// A page that is read in its own place is write-protected first, which the sanitizer cannot see.
ABSL_ATTRIBUTE_NO_SANITIZE_THREAD
uint64_t LoadWord(const unsigned char* p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

uint32_t ExtendByTables(uint32_t crc, const unsigned char* p, size_t bytes) {
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint64_t word = LoadWord(p);
    if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
    word ^= crc;
    crc = 0;
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][word >> (8 * k) & 0xff];
  }
  for (; bytes > 0; --bytes, ++p) crc = (crc >> 8) ^ kTables[0][(crc ^ *p) & 0xff];
  return crc;
}

#if defined(USERPAGER_CRC_INSTRUCTION)

// The instruction takes three cycles and one can start in each: so three parts of the data run side
// by side and are joined afterwards. Three times 1,360 bytes are a page but for its last two words.
constexpr size_t kStreamBytes = 1360;
// What comes from the disk, or was parked long ago, is in no cache, and most often a page of the
// same run follows: it is asked for meanwhile. A hint, and no access: nothing need be there. Over
// 1 GiB of small pages a page took 450 instead of 630 ns (AMD EPYC, 1 December 2026).
constexpr size_t kAheadBytes = 4096;
constexpr size_t kLineBytes = 64;

// The product of two polynomials modulo the checksum's own, bits reversed (bit 31 is x to the 0).
constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

// kShift[k][b]: byte k of a checksum, of value b, after kStreamBytes zero bytes. The shift of a
// whole checksum is the sum of its bytes' shifts, as everything here is linear.
constexpr std::array<ByteTable, 4> MakeShift() {
  uint32_t power = uint32_t{1} << 31;
  for (size_t i = 0; i < kStreamBytes; ++i) power = Multiply(power, uint32_t{1} << (31 - 8));
  std::array<ByteTable, 4> shift{};
  for (uint32_t k = 0; k < 4; ++k) {
    for (uint32_t byte = 0; byte < 256; ++byte) shift[k][byte] = Multiply(power, byte << (8 * k));
  }
  return shift;
}
constexpr std::array<ByteTable, 4> kShift = MakeShift();

uint32_t ShiftByStream(uint32_t crc) {
  return kShift[0][crc & 0xff] ^ kShift[1][crc >> 8 & 0xff] ^ kShift[2][crc >> 16 & 0xff] ^
         kShift[3][crc >> 24];
}

#if defined(__x86_64__)
bool HasInstruction() { return __builtin_cpu_supports("sse4.2") != 0; }
USERPAGER_CRC_INSTRUCTION inline uint32_t AddWord(uint32_t crc, uint64_t word) {
  return static_cast<uint32_t>(_mm_crc32_u64(crc, word));
}
USERPAGER_CRC_INSTRUCTION inline uint32_t AddByte(uint32_t crc, unsigned char byte) {
  return _mm_crc32_u8(crc, byte);
}
#else
bool HasInstruction() { return true; }
inline uint32_t AddWord(uint32_t crc, uint64_t word) { return __crc32cd(crc, word); }
inline uint32_t AddByte(uint32_t crc, unsigned char byte) { return __crc32cb(crc, byte); }
#endif

USERPAGER_CRC_INSTRUCTION uint32_t ExtendByInstruction(uint32_t crc, const unsigned char* p,
                                                       size_t bytes) {
  for (; bytes >= 3 * kStreamBytes; bytes -= 3 * kStreamBytes, p += 3 * kStreamBytes) {
    uint32_t second = 0;
    uint32_t third = 0;
    for (size_t i = 0; i < kStreamBytes; i += 8) {
      if (i % kLineBytes == 0) {
        const unsigned char* ahead = p + kAheadBytes + i;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + kStreamBytes);
        __builtin_prefetch(ahead + 2 * kStreamBytes);
      }
      crc = AddWord(crc, LoadWord(p + i));
      second = AddWord(second, LoadWord(p + kStreamBytes + i));
      third = AddWord(third, LoadWord(p + 2 * kStreamBytes + i));
    }
    crc = ShiftByStream(ShiftByStream(crc) ^ second) ^ third;
  }
  for (; bytes >= 8; bytes -= 8, p += 8) crc = AddWord(crc, LoadWord(p));
  for (; bytes > 0; --bytes, ++p) crc = AddByte(crc, *p);
  return crc;
}

#endif

}  // namespace

uint32_t Crc32cByTables(const void* data, size_t bytes) {
  return ~ExtendByTables(~uint32_t{0}, static_cast<const unsigned char*>(data), bytes);
}

uint32_t Crc32c(const void* data, size_t bytes) {
#if defined(USERPAGER_CRC_INSTRUCTION)
  if (HasInstruction()) {
    return ~ExtendByInstruction(~uint32_t{0}, static_cast<const unsigned char*>(data), bytes);
  }
#endif
  return Crc32cByTables(data, bytes);
}

}  // namespace userpager
