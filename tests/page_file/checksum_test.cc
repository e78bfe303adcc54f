#include "runtime/page_file/checksum.h"

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/types.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

using Bytes = std::vector<unsigned char>;

struct Vector {
  const char* name;
  Bytes data;
  uint32_t checksum;
};

Bytes Counting(int first, int step) {
  Bytes bytes(32);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<unsigned char>(first + step * static_cast<int>(i));
  }
  return bytes;
}

// The read command of RFC 3720, appendix B.4.
Bytes IscsiRead() {
  Bytes bytes(48);
  bytes[0] = 0x01;
  bytes[1] = 0xc0;
  bytes[16] = 0x14;
  bytes[22] = 0x04;
  bytes[27] = 0x14;
  bytes[31] = 0x18;
  bytes[32] = 0x28;
  bytes[40] = 0x02;
  return bytes;
}

std::vector<Vector> KnownVectors() {
  constexpr std::string_view kDigits = "123456789";
  return {{"nothing", {}, 0},
          {"32 zeros", Bytes(32, 0x00), 0x8a9136aa},
          {"32 ones", Bytes(32, 0xff), 0x62a8ab43},
          {"ascending", Counting(0, 1), 0x46dd794e},
          {"descending", Counting(31, -1), 0x113fdb5c},
          {"iSCSI read", IscsiRead(), 0xd9963a56},
          {"digits", Bytes(kDigits.begin(), kDigits.end()), 0xe3069283}};
}

Bytes RandomBytes(std::mt19937_64* random, size_t count) {
  Bytes bytes(count);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>((*random)());
  return bytes;
}

TEST(Checksum, GivesTheKnownVectors) {
  for (const Vector& vector : KnownVectors()) {
    EXPECT_EQ(Crc32c(vector.data.data(), vector.data.size()), vector.checksum) << vector.name;
    EXPECT_EQ(Crc32cByTables(vector.data.data(), vector.data.size()), vector.checksum)
        << vector.name;
  }
}

TEST(Checksum, InstructionAndTablesAgreeOnAnyLengthAndAlignment) {
  std::mt19937_64 random(TestSeed());
  const Bytes bytes = RandomBytes(&random, 20'000);
  for (unsigned i = 0; i < 3'000; ++i) {
    const size_t begin = random() % 64;
    const size_t count = random() % (i % 2 == 0 ? 200 : bytes.size() - begin + 1);
    ASSERT_EQ(Crc32c(&bytes[begin], count), Crc32cByTables(&bytes[begin], count))
        << "from " << begin << ", " << count << " bytes";
  }
}

TEST(Checksum, SeesEverySingleBitOfAPage) {
  std::mt19937_64 random(TestSeed());
  Bytes page = RandomBytes(&random, kPageBytes);
  const uint32_t whole = Crc32c(page.data(), page.size());
  for (size_t bit = 0; bit < kPageBytes * 8; bit += 1 + random() % 16) {
    const auto flip = static_cast<unsigned char>(1u << (bit % 8));
    page[bit / 8] ^= flip;
    ASSERT_NE(Crc32c(page.data(), page.size()), whole) << "bit " << bit;
    page[bit / 8] ^= flip;
  }
  EXPECT_EQ(Crc32c(page.data(), page.size()), whole);
}

}  // namespace
}  // namespace userpager
