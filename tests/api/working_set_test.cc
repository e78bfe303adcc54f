// The working set, its limits, and counters: one test for each rule (see virtual_alloc_test.cc).
#include <algorithm>
#include <thread>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/eventually.h"

namespace userpager_tests {
namespace {

constexpr size_t kPages = 16;
const HANDLE kSelf = GetCurrentProcess();

PSAPI_WORKING_SET_EX_BLOCK BlockOf(const void* address) {
  PSAPI_WORKING_SET_EX_INFORMATION page = {const_cast<void*>(address), {}};
  EXPECT_TRUE(QueryWorkingSetEx(kSelf, &page, sizeof page)) << GetLastError();
  return page.VirtualAttributes;
}
bool IsValid(const void* address) { return BlockOf(address).Attributes.Valid != 0; }

PROCESS_MEMORY_COUNTERS_EX Counters() {
  PROCESS_MEMORY_COUNTERS_EX counters = {};
  EXPECT_TRUE(GetProcessMemoryInfo(kSelf, reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(&counters),
                                   sizeof counters));
  EXPECT_EQ(counters.PrivateUsage, counters.PagefileUsage) << "WS11";
  return counters;
}
DWORD SetError(SIZE_T minimum, SIZE_T maximum, DWORD flags = 0) {
  return ErrorOf([=] { return SetProcessWorkingSetSizeEx(kSelf, minimum, maximum, flags); });
}

constexpr SIZE_T kDefaultMinimum = 204800;
constexpr SIZE_T kDefaultMaximum = 1413120;

class WorkingSetTest : public VirtualMemoryTest {
 protected:
  void SetUp() override {
    VirtualMemoryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    base_ = Commit(kPages * kP);
  }
  void TearDown() override {
    if (base_ != nullptr) {
      EXPECT_EQ(SetError(kDefaultMinimum, kDefaultMaximum,
                         QUOTA_LIMITS_HARDWS_MIN_DISABLE | QUOTA_LIMITS_HARDWS_MAX_DISABLE),
                ERROR_SUCCESS);
      Release(base_);
    }
    VirtualMemoryTest::TearDown();
  }

  std::byte* base_ = nullptr;
};

TEST_F(WorkingSetTest, WS1_ArgumentsOfQueries) {
  PSAPI_WORKING_SET_EX_INFORMATION page = {base_, {}};
  const auto ex_error = [&](HANDLE process, void* at, DWORD bytes) {
    return ErrorOf([=] { return QueryWorkingSetEx(process, at, bytes); });
  };
  EXPECT_EQ(ex_error(kSelf, &page, 0), ERROR_BAD_LENGTH);
  EXPECT_EQ(ex_error(kSelf, &page, sizeof page - 1), ERROR_BAD_LENGTH);
  EXPECT_EQ(ex_error(kSelf, nullptr, sizeof page), ERROR_NOACCESS);
  EXPECT_EQ(ex_error(nullptr, &page, sizeof page), ERROR_INVALID_HANDLE);
  EXPECT_EQ(ex_error(kSelf, &page, sizeof page), ERROR_SUCCESS);
  ULONG_PTR none[2] = {};
  const auto error = [&](HANDLE process, void* at, DWORD bytes) {
    return ErrorOf([=] { return QueryWorkingSet(process, at, bytes); });
  };
  EXPECT_EQ(error(nullptr, none, sizeof none), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(kSelf, nullptr, sizeof none), ERROR_NOACCESS);
  EXPECT_EQ(error(kSelf, none, 4), ERROR_BAD_LENGTH);
}

TEST_F(WorkingSetTest, WS2_FreshPageIsNotValid) { EXPECT_EQ(BlockOf(base_).Flags, 0u); }

TEST_F(WorkingSetTest, WS3_ReadMakesValid) {
  EXPECT_EQ(ByteAt(base_), 0u);
  const PSAPI_WORKING_SET_EX_BLOCK block = BlockOf(base_);
  EXPECT_EQ(block.Attributes.Valid, 1u);
  EXPECT_EQ(block.Attributes.Win32Protection, DWORD{PAGE_READWRITE});
  EXPECT_EQ(block.Attributes.Shared, 0u);
  EXPECT_EQ(block.Attributes.ShareCount, 0u) << "WS21";
  EXPECT_EQ(block.Attributes.Locked, 0u);
  EXPECT_EQ(block.Attributes.Bad, 0u);
}

TEST_F(WorkingSetTest, WS5_WS6_NoAccessLeavesAndDoesNotComeBackByItself) {
  base_[0] = std::byte{1};
  ASSERT_TRUE(IsValid(base_));
  Protect(base_, kP, PAGE_NOACCESS);
  EXPECT_FALSE(IsValid(base_));
  Protect(base_, kP, PAGE_READWRITE);
  EXPECT_FALSE(IsValid(base_));
  EXPECT_EQ(ByteAt(base_), 1u);
  EXPECT_TRUE(IsValid(base_));
}

TEST_F(WorkingSetTest, WS7_AnyOrderAndPagesThatAreNotOurs) {
  base_[3 * kP] = std::byte{1};
  base_[5 * kP] = std::byte{1};
  // A fault may have brought its neighbours along; this one is out for certain.
  Protect(base_ + 4 * kP, kP, PAGE_NOACCESS);
  int local = 0;
  PSAPI_WORKING_SET_EX_INFORMATION pages[] = {
      {base_ + 5 * kP + 17, {}}, {base_ + 4 * kP, {}}, {&local, {}}, {base_ + 3 * kP, {}}};
  ASSERT_TRUE(QueryWorkingSetEx(kSelf, pages, sizeof pages));
  EXPECT_EQ(pages[0].VirtualAttributes.Attributes.Valid, 1u);
  EXPECT_EQ(pages[1].VirtualAttributes.Flags, 0u);
  EXPECT_EQ(pages[2].VirtualAttributes.Flags, 0u);
  EXPECT_EQ(pages[3].VirtualAttributes.Attributes.Valid, 1u);
  EXPECT_EQ(pages[0].VirtualAddress, base_ + 5 * kP + 17);
}

TEST_F(WorkingSetTest, QueryWorkingSetListsWhatIsThere) {
  base_[2 * kP] = std::byte{1};
  base_[9 * kP] = std::byte{1};
  Protect(base_ + 9 * kP, kP, PAGE_READONLY);
  (void)ByteAt(base_ + 9 * kP);
  ULONG_PTR needed[1] = {};
  EXPECT_EQ(ErrorOf([&] { return QueryWorkingSet(kSelf, needed, sizeof needed); }),
            ERROR_BAD_LENGTH);
  ASSERT_GE(needed[0], 2u);
  // Into managed memory, which changes the working set while it is listed.
  const size_t bytes = (needed[0] + 64) * sizeof(ULONG_PTR);
  auto* list = reinterpret_cast<PSAPI_WORKING_SET_INFORMATION*>(Commit(bytes));
  ASSERT_TRUE(QueryWorkingSet(kSelf, list, static_cast<DWORD>(bytes))) << GetLastError();
  std::vector<PSAPI_WORKING_SET_BLOCK> ours;
  for (size_t i = 0; i < list->NumberOfEntries; ++i) {
    const PSAPI_WORKING_SET_BLOCK block = list->WorkingSetInfo[i];
    if (i > 0) {
      EXPECT_LT(list->WorkingSetInfo[i - 1].Block.VirtualPage, block.Block.VirtualPage);
    }
    const uint64_t address = uint64_t{block.Block.VirtualPage} * kP;
    const uint64_t base = reinterpret_cast<uint64_t>(base_);
    if (address >= base && address < base + kPages * kP) ours.push_back(block);
  }
  // Neighbours may have come along; each that is listed is valid.
  const auto protection_of = [&](const std::byte* page) {
    for (const PSAPI_WORKING_SET_BLOCK block : ours) {
      if (uint64_t{block.Block.VirtualPage} * kP == reinterpret_cast<uint64_t>(page)) {
        return static_cast<unsigned>(block.Block.Protection);
      }
    }
    return 99u;
  };
  for (size_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(protection_of(base_ + i * kP) != 99u, IsValid(base_ + i * kP)) << i;
  }
  EXPECT_EQ(protection_of(base_ + 2 * kP), 4u);
  EXPECT_EQ(protection_of(base_ + 9 * kP), 1u);
  Release(list);
}

TEST_F(WorkingSetTest, WS9_EmptyWorkingSet) {
  memset(base_, 0x42, kPages * kP);
  EXPECT_EQ(ErrorOf([] { return EmptyWorkingSet(nullptr); }), ERROR_INVALID_HANDLE);
  EXPECT_EQ(ErrorOf([] { return EmptyWorkingSet(kSelf); }), ERROR_SUCCESS);
  for (size_t i = 0; i < kPages; ++i) EXPECT_FALSE(IsValid(base_ + i * kP)) << i;
  EXPECT_EQ(Counters().WorkingSetSize, 0u);
  for (size_t i = 0; i < kPages * kP; ++i) ASSERT_EQ(ByteAt(base_ + i), 0x42u);
}

TEST_F(WorkingSetTest, WS10_ArgumentsOfMemoryInfo) {
  PROCESS_MEMORY_COUNTERS counters = {};
  const auto error = [&](HANDLE process, PROCESS_MEMORY_COUNTERS* at, DWORD bytes) {
    return ErrorOf([=] { return GetProcessMemoryInfo(process, at, bytes); });
  };
  EXPECT_EQ(error(nullptr, &counters, sizeof counters), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(kSelf, nullptr, sizeof counters), ERROR_NOACCESS);
  EXPECT_EQ(error(kSelf, &counters, sizeof counters - 1), ERROR_INSUFFICIENT_BUFFER);
  EXPECT_EQ(error(kSelf, &counters, sizeof counters), ERROR_SUCCESS);
  EXPECT_EQ(counters.cb, sizeof counters);
}

TEST_F(WorkingSetTest, WS11_WorkingSetAndCommit) {
  const PROCESS_MEMORY_COUNTERS_EX before = Counters();
  memset(base_, 1, kPages * kP);
  const PROCESS_MEMORY_COUNTERS_EX after = Counters();
  EXPECT_EQ(after.WorkingSetSize, before.WorkingSetSize + kPages * kP);
  EXPECT_EQ(after.PagefileUsage, CommitBytes());
  EXPECT_GE(after.PeakWorkingSetSize, after.WorkingSetSize);
  EXPECT_GE(after.PeakPagefileUsage, after.PagefileUsage);
}

TEST_F(WorkingSetTest, WS13_DefaultLimits) {
  SIZE_T minimum = 0;
  SIZE_T maximum = 0;
  DWORD flags = 0;
  ASSERT_TRUE(GetProcessWorkingSetSize(kSelf, &minimum, &maximum));
  EXPECT_EQ(minimum, kDefaultMinimum);
  EXPECT_EQ(maximum, kDefaultMaximum);
  ASSERT_TRUE(GetProcessWorkingSetSizeEx(kSelf, &minimum, &maximum, &flags));
  EXPECT_EQ(flags, DWORD{QUOTA_LIMITS_HARDWS_MIN_DISABLE | QUOTA_LIMITS_HARDWS_MAX_DISABLE});
  const auto error = [](HANDLE process, SIZE_T* low, SIZE_T* high, DWORD* hard) {
    return ErrorOf([=] { return GetProcessWorkingSetSizeEx(process, low, high, hard); });
  };
  EXPECT_EQ(error(nullptr, &minimum, &maximum, &flags), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(kSelf, nullptr, &maximum, &flags), ERROR_NOACCESS);
  EXPECT_EQ(error(kSelf, &minimum, nullptr, &flags), ERROR_NOACCESS);
  EXPECT_EQ(error(kSelf, &minimum, &maximum, nullptr), ERROR_NOACCESS);
}

TEST_F(WorkingSetTest, WS14_SettingLimits) {
  memset(base_, 1, kPages * kP);
  EXPECT_EQ(ErrorOf([] { return SetProcessWorkingSetSize(kSelf, SIZE_MAX, SIZE_MAX); }),
            ERROR_SUCCESS);
  EXPECT_FALSE(IsValid(base_));
  EXPECT_EQ(SetError(0, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(0, 100 * kP), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(100 * kP, 99 * kP), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(kP, 12 * kP), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(kP, 100 * kP, 3), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(kP, 100 * kP, 12), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(SetError(kP, 100 * kP, 16), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([] { return SetProcessWorkingSetSize(nullptr, kP, kG); }),
            ERROR_INVALID_HANDLE);
  const SIZE_T limit = Stats().memory_limit_bytes;
  EXPECT_EQ(SetError(limit + kP, limit + kP), ERROR_NO_SYSTEM_RESOURCES);
  EXPECT_EQ(SetError(limit, limit, QUOTA_LIMITS_HARDWS_MIN_ENABLE), ERROR_NO_SYSTEM_RESOURCES);
  SIZE_T minimum = 0;
  SIZE_T maximum = 0;
  ASSERT_TRUE(GetProcessWorkingSetSize(kSelf, &minimum, &maximum));
  EXPECT_EQ(minimum, kDefaultMinimum) << "calls that fail change nothing";
  ASSERT_EQ(SetError(1, 100 * kP + 5), ERROR_SUCCESS);
  ASSERT_TRUE(GetProcessWorkingSetSize(kSelf, &minimum, &maximum));
  EXPECT_EQ(minimum, 20 * kP);
  EXPECT_EQ(maximum, 100 * kP);
}

TEST_F(WorkingSetTest, WS15_HardMaximumHolds) {
  const uint64_t limit = Stats().memory_limit_bytes;
  const SIZE_T hard = limit / 4;
  const size_t bytes = 2 * limit;
  std::byte* base = Commit(bytes);
  memset(base, 1, bytes);
  ASSERT_EQ(SetError(kDefaultMinimum, hard, QUOTA_LIMITS_HARDWS_MAX_ENABLE), ERROR_SUCCESS)
      << userpager_error_message();
  SIZE_T minimum = 0;
  SIZE_T maximum = 0;
  DWORD flags = 0;
  ASSERT_TRUE(GetProcessWorkingSetSizeEx(kSelf, &minimum, &maximum, &flags));
  EXPECT_EQ(flags, DWORD{QUOTA_LIMITS_HARDWS_MIN_DISABLE | QUOTA_LIMITS_HARDWS_MAX_ENABLE});
  EXPECT_LE(Counters().WorkingSetSize, hard);
  for (size_t at = 0; at < bytes; at += kP) {
    base[at] = std::byte{2};
    if (at % (64 * kP) == 0) {
      ASSERT_LE(Counters().WorkingSetSize, hard);
      ASSERT_LE(Stats().resident_bytes, hard);
    }
  }
  EXPECT_EQ(SetError(kDefaultMinimum, 20 * kP, QUOTA_LIMITS_HARDWS_MAX_ENABLE),
            ERROR_INVALID_PARAMETER)
      << "so little the pager cannot work with";
  EXPECT_EQ(Stats().memory_limit_bytes, hard);
  // The other limit is kept for later.
  EXPECT_EQ(userpager_set_memory_limit(limit - kG), 0);
  EXPECT_EQ(Stats().memory_limit_bytes, hard);
  EXPECT_EQ(userpager_set_memory_limit(limit), 0);
  ASSERT_EQ(SetError(kDefaultMinimum, hard, QUOTA_LIMITS_HARDWS_MAX_DISABLE), ERROR_SUCCESS);
  EXPECT_EQ(Stats().memory_limit_bytes, limit);
  Release(base);
}

TEST_F(WorkingSetTest, WS18_GlobalMemoryStatus) {
  MEMORYSTATUSEX status = {};
  const auto error = [](MEMORYSTATUSEX* at) {
    return ErrorOf([=] { return GlobalMemoryStatusEx(at); });
  };
  EXPECT_EQ(error(nullptr), ERROR_NOACCESS);
  EXPECT_EQ(error(&status), ERROR_INVALID_PARAMETER);
  status.dwLength = sizeof status;
  ASSERT_EQ(error(&status), ERROR_SUCCESS);
  const userpager_stats stats = Stats();
  EXPECT_EQ(status.ullTotalPageFile, stats.commit_limit_bytes);
  EXPECT_EQ(status.ullAvailPageFile, stats.commit_limit_bytes - stats.commit_bytes);
  EXPECT_EQ(status.ullTotalPhys, stats.memory_limit_bytes);
  EXPECT_LE(status.ullAvailPhys, status.ullTotalPhys);
  EXPECT_LE(status.dwMemoryLoad, 100u);
  const uint64_t available = status.ullAvailVirtual;
  std::byte* base = Reserve(64 * kG);
  ASSERT_EQ(error(&status), ERROR_SUCCESS);
  EXPECT_EQ(status.ullAvailVirtual, available - 64 * kG);
  Release(base);
}

TEST_F(WorkingSetTest, AC1_AC2_AC10_PerformanceInfo) {
  PERFORMANCE_INFORMATION information = {};
  const auto error = [](PERFORMANCE_INFORMATION* at, DWORD bytes) {
    return ErrorOf([=] { return GetPerformanceInfo(at, bytes); });
  };
  const auto commit = [&] {
    EXPECT_EQ(error(&information, sizeof information), ERROR_SUCCESS);
    return information.CommitTotal;
  };
  EXPECT_EQ(error(nullptr, sizeof information), ERROR_NOACCESS);
  EXPECT_EQ(error(&information, sizeof information - 1), ERROR_BAD_LENGTH);
  const SIZE_T before = commit();
  EXPECT_EQ(information.CommitLimit * kP, Stats().commit_limit_bytes);
  EXPECT_EQ(information.PhysicalTotal * kP, Stats().memory_limit_bytes);
  EXPECT_EQ(information.PageSize, kP);
  std::byte* base = Reserve(kG);
  EXPECT_EQ(commit(), before);
  ASSERT_TRUE(CommitAt(base, 4 * kP));
  EXPECT_EQ(commit(), before + 4);
  ASSERT_TRUE(CommitAt(base, 4 * kP));
  EXPECT_EQ(commit(), before + 4);
  ASSERT_TRUE(VirtualFree(base, kP, MEM_DECOMMIT));
  EXPECT_EQ(commit(), before + 3);
  EXPECT_GE(information.CommitPeak, before + 4);
  Release(base);
  EXPECT_EQ(commit(), before);
}

TEST_F(WorkingSetTest, WS19_PageFaults) {
  const DWORD before = Counters().PageFaultCount;
  for (size_t i = 0; i < kPages; ++i) (void)ByteAt(base_ + i * kP);
  const PROCESS_MEMORY_COUNTERS_EX touched = Counters();
  EXPECT_GE(touched.PageFaultCount, before + kPages);
  base_[0] = std::byte{1};
  ASSERT_TRUE(EmptyWorkingSet(kSelf));
  EXPECT_EQ(ByteAt(base_), 1u);
  const PROCESS_MEMORY_COUNTERS_EX soft = Counters();
  EXPECT_EQ(soft.PageFaultCount, touched.PageFaultCount + 1);
  EXPECT_GE(soft.PeakWorkingSetSize, touched.WorkingSetSize);
}

TEST_F(WorkingSetTest, LK7_LockedPagesStay) {
  base_[0] = base_[kP] = std::byte{1};
  ASSERT_TRUE(VirtualLock(base_, kP));
  ASSERT_TRUE(EmptyWorkingSet(kSelf));
  EXPECT_EQ(BlockOf(base_).Attributes.Valid, 1u);
  EXPECT_EQ(BlockOf(base_).Attributes.Locked, 1u);
  EXPECT_FALSE(IsValid(base_ + kP));
  ASSERT_TRUE(VirtualUnlock(base_, kP));
  EXPECT_EQ(BlockOf(base_).Attributes.Locked, 0u);
}

TEST_F(WorkingSetTest, LowAndHighMemory) {
  const HANDLE low = CreateMemoryResourceNotification(LowMemoryResourceNotification);
  const HANDLE high = CreateMemoryResourceNotification(HighMemoryResourceNotification);
  ASSERT_NE(low, nullptr);
  ASSERT_NE(high, nullptr);
  const auto error = [](HANDLE notification, BOOL* state) {
    return ErrorOf([=] { return QueryMemoryResourceNotification(notification, state); });
  };
  const auto is_on = [&](HANDLE notification) {
    BOOL state = FALSE;
    EXPECT_EQ(error(notification, &state), ERROR_SUCCESS);
    return state != FALSE;
  };
  BOOL state = FALSE;
  EXPECT_EQ(error(nullptr, &state), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(&state, &state), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(low, nullptr), ERROR_NOACCESS);
  EXPECT_EQ(ErrorOf([] {
              return CreateMemoryResourceNotification(
                  static_cast<MEMORY_RESOURCE_NOTIFICATION_TYPE>(7));
            }),
            ERROR_INVALID_PARAMETER);
  // Writes of what was released before may hold memory for a while.
  EXPECT_TRUE(userpager::Eventually([&] { return is_on(high); }));
  EXPECT_FALSE(is_on(low));
  const size_t bytes = 2 * Stats().memory_limit_bytes;
  std::byte* base = Commit(bytes);
  // Low at some moment while twice the memory is being written, and never high again.
  bool was_low = false;
  for (size_t at = 0; at < bytes; at += kP) {
    base[at] = std::byte{1};
    was_low = was_low || is_on(low);
  }
  EXPECT_TRUE(was_low);
  EXPECT_FALSE(is_on(high));
  Release(base);
  EXPECT_TRUE(userpager::Eventually([&] { return is_on(high); }));
}

}  // namespace
}  // namespace userpager_tests
