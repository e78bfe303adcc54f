// VirtualAlloc2's extended parameters, one test for each rule (see virtual_alloc_test.cc about the
// numbers).
#include <iterator>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using AddressRequirementsTest = VirtualMemoryTest;

constexpr DWORD kType = MEM_RESERVE | MEM_COMMIT;

void* At(uint64_t address) { return reinterpret_cast<void*>(address); }
uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

uint64_t HighestAddress() {
  SYSTEM_INFO information;
  GetSystemInfo(&information);
  return AddressOf(information.lpMaximumApplicationAddress);
}

void* AllocWithin(uint64_t lowest, uint64_t highest, uint64_t alignment, size_t bytes = kG,
                  void* base = nullptr) {
  MEM_ADDRESS_REQUIREMENTS requirements = {At(lowest), At(highest), alignment};
  MEM_EXTENDED_PARAMETER parameter = {};
  parameter.Type = MemExtendedParameterAddressRequirements;
  parameter.Pointer = &requirements;
  return VirtualAlloc2(GetCurrentProcess(), base, bytes, kType, PAGE_READWRITE, &parameter, 1);
}
DWORD WithinError(uint64_t lowest, uint64_t highest, uint64_t alignment, size_t bytes = kG,
                  void* base = nullptr) {
  return ErrorOf([=] {
    void* made = AllocWithin(lowest, highest, alignment, bytes, base);
    if (made != nullptr) Release(made);
    return made;
  });
}
DWORD ParametersError(MEM_EXTENDED_PARAMETER* parameters, ULONG count) {
  return ErrorOf([=] {
    void* made =
        VirtualAlloc2(nullptr, nullptr, kG, kType, PAGE_READWRITE, parameters, count);
    if (made != nullptr) Release(made);
    return made;
  });
}
DWORD ParameterError(uint64_t type, uint64_t value, uint64_t reserved = 0) {
  MEM_EXTENDED_PARAMETER parameter = {};
  parameter.Type = type & 0xff;
  parameter.Reserved = reserved & 0xff'ffff;
  parameter.ULong64 = value;
  return ParametersError(&parameter, 1);
}

TEST_F(AddressRequirementsTest, AR1_CountWithoutArray) {
  EXPECT_EQ(ParametersError(nullptr, 1), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ParametersError(nullptr, 0), ERROR_SUCCESS);
}

TEST_F(AddressRequirementsTest, AR2_TypesThatAreNone) {
  for (const uint64_t type : {0u, 7u, 8u, 255u}) {
    EXPECT_EQ(ParameterError(type, 0), ERROR_INVALID_PARAMETER) << type;
  }
  EXPECT_EQ(ParameterError(MemExtendedParameterImageMachine, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ParameterError(MemExtendedParameterNumaNode, 0, 1), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ParameterError(MemExtendedParameterAddressRequirements, 0), ERROR_INVALID_PARAMETER)
      << "no requirements there";
}

TEST_F(AddressRequirementsTest, OtherParameters) {
  EXPECT_EQ(ParameterError(MemExtendedParameterNumaNode, 0), ERROR_SUCCESS);
  EXPECT_EQ(ParameterError(MemExtendedParameterNumaNode, UINT32_MAX), ERROR_SUCCESS);
  EXPECT_EQ(ParameterError(MemExtendedParameterNumaNode, 1000), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ParameterError(MemExtendedParameterPartitionHandle, 4), ERROR_INVALID_HANDLE);
  EXPECT_EQ(ParameterError(MemExtendedParameterUserPhysicalHandle, 4), ERROR_INVALID_HANDLE);
  const auto attributes = [](uint64_t flags) {
    return ParameterError(MemExtendedParameterAttributeFlags, flags);
  };
  EXPECT_EQ(attributes(0), ERROR_SUCCESS);
  EXPECT_EQ(attributes(MEM_EXTENDED_PARAMETER_ZERO_PAGES_OPTIONAL), ERROR_SUCCESS);
  EXPECT_EQ(attributes(MEM_EXTENDED_PARAMETER_NONPAGED), ERROR_NOT_SUPPORTED);
  EXPECT_EQ(attributes(0x1000), ERROR_INVALID_PARAMETER);
  MEM_EXTENDED_PARAMETER twice[2] = {};
  for (MEM_EXTENDED_PARAMETER& parameter : twice) parameter.Type = MemExtendedParameterNumaNode;
  EXPECT_EQ(ParametersError(twice, 1), ERROR_SUCCESS);
  EXPECT_EQ(ParametersError(twice, 2), ERROR_INVALID_PARAMETER);
  twice[1].Type = MemExtendedParameterAttributeFlags;
  EXPECT_EQ(ParametersError(twice, 2), ERROR_SUCCESS);
}

TEST_F(AddressRequirementsTest, AR3_AllZero) { EXPECT_EQ(WithinError(0, 0, 0), ERROR_SUCCESS); }

TEST_F(AddressRequirementsTest, AR5_AR6_HighestIsTheLastByteOfAPage) {
  EXPECT_EQ(WithinError(0, 0x20001000 - 1, 0), ERROR_SUCCESS);
  for (const uint64_t highest : {0x20001001u, 0x20000ffeu, 0x200007ffu}) {
    EXPECT_EQ(WithinError(0, highest, 0), ERROR_INVALID_PARAMETER) << highest;
  }
  EXPECT_EQ(WithinError(0, HighestAddress(), 0), ERROR_SUCCESS);
  EXPECT_EQ(WithinError(0, HighestAddress() + 0x1000, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(WithinError(0, UINT64_MAX, 0), ERROR_INVALID_PARAMETER);
}

TEST_F(AddressRequirementsTest, AR7_ResultEndsBelowHighest) {
  for (const uint64_t highest : {0x20000fffu, 0x2000ffffu, 0x20003fffu}) {
    for (const size_t bytes : {size_t{0x40000}, size_t{0x41000}, kP}) {
      void* made = AllocWithin(0, highest, 0, bytes);
      ASSERT_NE(made, nullptr) << GetLastError();
      EXPECT_EQ(AddressOf(made) % kG, 0u);
      EXPECT_LE(AddressOf(made) + bytes, highest + 1);
      memset(made, 1, bytes);
      Release(made);
    }
  }
}

TEST_F(AddressRequirementsTest, AR9_NoBaseBesideRequirements) {
  std::byte* space = FreeSpace(kG);
  EXPECT_EQ(WithinError(0, 0x2fffffff, 0, kG, space), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(WithinError(0, 0, kG, kG, space), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocWithin(0, 0, 0, kG, space), space);
  EXPECT_EQ(WithinError(0, 0, 0, kG, space), ERROR_INVALID_ADDRESS);
  Release(space);
}

TEST_F(AddressRequirementsTest, AR10_AR18_Alignment) {
  for (const uint64_t alignment : {0x8000u, 0x30000u, 1u, 0x1000u}) {
    EXPECT_EQ(WithinError(0, 0, alignment), ERROR_INVALID_PARAMETER) << alignment;
  }
  for (const uint64_t alignment : {uint64_t{0x10000}, uint64_t{0x40000}, uint64_t{0x2000000},
                                   uint64_t{1} << 40}) {
    void* first = AllocWithin(0, 0, alignment);
    void* second = AllocWithin(0, 0, alignment);
    ASSERT_NE(second, nullptr) << alignment;
    EXPECT_EQ(AddressOf(first) % alignment, 0u);
    EXPECT_EQ(AddressOf(second) % alignment, 0u);
    EXPECT_NE(first, second);
    Release(first);
    Release(second);
  }
}

TEST_F(AddressRequirementsTest, AR11_NoFit) {
  EXPECT_EQ(WithinError(0, 0x20000fff, 0x20000000), ERROR_NOT_ENOUGH_MEMORY);
  EXPECT_EQ(WithinError(0x20000000, 0x2000ffff, 0, 2 * kG), ERROR_NOT_ENOUGH_MEMORY);
  EXPECT_EQ(WithinError(0, 0, uint64_t{1} << 47), ERROR_NOT_ENOUGH_MEMORY);
}

TEST_F(AddressRequirementsTest, AR13_AR15_LowestThatIsNone) {
  EXPECT_EQ(WithinError(0x30000000, 0x2fffffff, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(WithinError(HighestAddress() + 1, 0, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(WithinError(0x20001000, 0, 0), ERROR_INVALID_PARAMETER) << "not a multiple of 64 KiB";
  EXPECT_EQ(WithinError(uint64_t{1} << 60, 0, 0), ERROR_INVALID_PARAMETER);
}

TEST_F(AddressRequirementsTest, AR14_BetweenLowestAndHighest) {
  void* made[8] = {};
  for (void*& base : made) {
    base = AllocWithin(0x20000000, 0x2fffffff, 0x100000, 3 * kG);
    ASSERT_NE(base, nullptr) << GetLastError();
    EXPECT_GE(AddressOf(base), 0x20000000u);
    EXPECT_LE(AddressOf(base) + 3 * kG, 0x30000000u);
    EXPECT_EQ(AddressOf(base) % 0x100000, 0u);
    memset(base, 7, 3 * kG);
  }
  for (void* base : made) Release(base);
}

TEST_F(AddressRequirementsTest, RangeFillsUpToTheLastUnit) {
  void* made[4] = {};
  for (void*& base : made) {
    ASSERT_NE(base = AllocWithin(0x28000000, 0x2803ffff, 0), nullptr) << GetLastError();
  }
  EXPECT_EQ(WithinError(0x28000000, 0x2803ffff, 0), ERROR_NOT_ENOUGH_MEMORY);
  for (void* base : made) Release(base);
}

TEST_F(AddressRequirementsTest, PlaceholdersHaveRequirementsToo) {
  MEM_ADDRESS_REQUIREMENTS requirements = {At(0x20000000), At(0x2fffffff), 0x200000};
  MEM_EXTENDED_PARAMETER parameter = {};
  parameter.Type = MemExtendedParameterAddressRequirements;
  parameter.Pointer = &requirements;
  void* made = VirtualAlloc2(nullptr, nullptr, kG, MEM_RESERVE | MEM_RESERVE_PLACEHOLDER,
                             PAGE_NOACCESS, &parameter, 1);
  ASSERT_NE(made, nullptr) << GetLastError();
  EXPECT_GE(AddressOf(made), 0x20000000u);
  EXPECT_EQ(AddressOf(made) % 0x200000, 0u);
  EXPECT_EQ(ErrorOf([&] {
              return VirtualAlloc2(nullptr, made, kG, MEM_RESERVE | MEM_REPLACE_PLACEHOLDER,
                                   PAGE_READWRITE, &parameter, 1);
            }),
            ERROR_INVALID_PARAMETER);
  Release(made);
}

}  // namespace
}  // namespace userpager_tests
