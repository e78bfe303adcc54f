// Bad input for every function of the family: calls with arguments that are wrong in every way that
// there is, and sometimes right. None may crash, touch what is not ours, or leave an error
// that its documentation does not name; one that fails changes nothing; one that works leaves the
// last error alone. As a test: a short run of a new seed. By hand:
//
//   build/release/tests/api_bad_input_test --calls=10000000      as long as it is told
//   build/release/tests/api_bad_input_test --seed=N --calls=M    the same calls again
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/api/documented_errors.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager_tests {
namespace {

constexpr uint64_t kCalls = userpager::kThreadSanitizer ? 3'000 : 10'000;
constexpr uint64_t kCallsEachRound = 500;
constexpr size_t kMostReservations = 12;
constexpr size_t kLargePage = size_t{2} << 20;

uint64_t most_calls = kCalls;
const char* only_seed = nullptr;

// What a call gave, and what it may give.
struct Call {
  std::string name;
  bool worked = false;
  DWORD error = kUntouched;
};

class Fuzzer {
 public:
  explicit Fuzzer(uint64_t seed) : random_(seed) { foreign_.fill(0x77); }

  // One round: some reservations, calls, and what they have left behind is released.
  std::string Round(uint64_t calls) {
    for (size_t i = 0; i < 4; ++i) Keep(Reserve(kG));
    for (size_t i = 0; i < 4; ++i) Keep(Commit(kG));
    Keep(Alloc(nullptr, kG, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE));
    std::vector<uint64_t> now = Look();
    for (uint64_t i = 0; i < calls && wrong_.empty(); ++i) {
      const Call call = Draw();
      const std::vector<uint64_t> after = Look();
      // A lock that meets a guard page ends the guard.
      const bool may_change = call.worked || call.error == STATUS_GUARD_PAGE_VIOLATION;
      if (!may_change && after != now) wrong_ = call.name + " failed and changed something";
      std::erase_if(ours_, [](std::byte* base) { return Query(base).AllocationBase != base; });
      now = Look();
      if (call.worked != (call.error == kUntouched)) wrong_ = call.name + " and the last error";
      for (const unsigned char byte : foreign_) {
        if (byte != 0x77) wrong_ = call.name + " wrote to foreign memory";
      }
    }
    // Also what was split off. What is nobody's is refused.
    for (std::byte* base : ever_) {
      for (size_t at = 0; at < 3 * kG; at += kP) (void)VirtualFree(base + at, 0, MEM_RELEASE);
    }
    ours_.clear();
    ever_.clear();
    return wrong_;
  }
  // By function: what it gave, and how often it worked.
  const std::map<std::string, Errors>& errors() const { return errors_; }
  const std::map<std::string, uint64_t>& worked() const { return worked_; }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }
  void Keep(std::byte* base) {
    if (base == nullptr) return;
    ours_.push_back(base);
    ever_.push_back(base);
  }

  void* Address() {
    std::byte* base = ours_.empty() ? ever_[0] : ours_[Pick(ours_.size())];
    switch (Pick(13)) {
      case 0: return nullptr;
      case 1: return foreign_.data() + Pick(foreign_.size());
      case 2: return reinterpret_cast<void*>(&Prints);
      case 3: return reinterpret_cast<void*>(random_());
      case 4: return reinterpret_cast<void*>(~uint64_t{0} - Pick(kG));
      case 5: return reinterpret_cast<void*>((uint64_t{1} << 47) - Pick(2 * kG));
      case 6: return reinterpret_cast<void*>(Pick(2 * kG));
      case 7: return ever_[Pick(ever_.size())];  // perhaps released
      case 8: return base;
      default: return base + Pick(kG + kP);
    }
  }
  static void Prints() { std::puts("code is foreign memory"); }
  SIZE_T Size() {
    static constexpr std::array<uint64_t, 12> kSizes = {
        0, 1, kP - 1, kP, kP + 1, kG, kG + 1, 2 * kG, uint64_t{1} << 48, ~uint64_t{0},
        ~uint64_t{0} - kP, uint64_t{1} << 63};
    return Pick(3) == 0 ? Pick(kG) : kSizes[Pick(kSizes.size())];
  }
  DWORD Flags(const std::vector<DWORD>& good) {
    if (Pick(8) == 0) return static_cast<DWORD>(random_());
    DWORD flags = good[Pick(good.size())];
    if (Pick(6) == 0) flags |= DWORD{1} << Pick(32);
    return flags;
  }
  DWORD Type() {
    return Flags({MEM_RESERVE, MEM_COMMIT, MEM_RESERVE | MEM_COMMIT, MEM_RESET, MEM_RESET_UNDO,
                  MEM_RESERVE | MEM_WRITE_WATCH, 0,
                  MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES});
  }
  // For VirtualAlloc2 alone, among others.
  DWORD TypeOfPlaceholder() {
    return Flags({MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, MEM_RESERVE | MEM_REPLACE_PLACEHOLDER,
                  MEM_RESERVE | MEM_COMMIT | MEM_REPLACE_PLACEHOLDER});
  }
  DWORD Protection() {
    return Flags({PAGE_READWRITE, PAGE_READONLY, PAGE_NOACCESS, PAGE_EXECUTE_READ,
                  PAGE_READWRITE | PAGE_GUARD, PAGE_WRITECOPY, 0});
  }
  HANDLE Process() {
    return Pick(6) == 0 ? reinterpret_cast<HANDLE>(random_()) : GetCurrentProcess();
  }
  template <typename T>
  T* Maybe(T* pointer) {
    return Pick(8) == 0 ? nullptr : pointer;
  }

  // Of a structure; no more than there is.
  DWORD Length(size_t real) { return static_cast<DWORD>(Pick(3) == 0 ? Pick(real) : real); }

  template <typename Function>
  Call Do(const char* name, Function function) {
    SetLastError(kUntouched);
    const bool worked = function();
    const DWORD error = GetLastError();
    worked_[name] += worked;
    if (!worked) errors_[name].insert(error);
    return {name, worked, error};
  }
  // What a call fills stays as it was where the call fails.
  template <typename Structure, typename Function>
  Call DoInto(Structure* filled, const char* name, Function function) {
    Structure before;
    std::memcpy(&before, filled, sizeof before);
    const Call call = Do(name, function);
    if (!call.worked && std::memcmp(&before, filled, sizeof before) != 0) {
      wrong_ = std::string(name) + " failed and wrote";
    }
    return call;
  }
  // The functions that return their error leave the last error alone, which is checked here.
  template <typename Function>
  Call DoDirect(const char* name, Function function) {
    SetLastError(kUntouched);
    const DWORD error = function();
    if (GetLastError() != kUntouched) wrong_ = std::string(name) + " set the last error";
    if (error != 0) errors_[name].insert(error);
    // ERROR_BUSY: it was done, with something given up.
    const bool worked = error == 0 || error == ERROR_BUSY;
    worked_[name] += worked;
    return {name, worked, worked ? kUntouched : error};
  }

  Call Draw();
  Call DrawAllocation();
  Call DrawChange();
  Call DrawHint();
  Call DrawQuestion();
  Call DrawCounters();
  Call DrawLimits();
  Call DrawHold();

  // What is ours, as VirtualQuery tells it, and the commit charge.
  std::vector<uint64_t> Look() const {
    std::vector<uint64_t> seen = {CommitBytes()};
    for (std::byte* base : ours_) {
      for (std::byte* at = base; at < base + kG;) {
        MEMORY_BASIC_INFORMATION run = {};
        if (VirtualQuery(at, &run, sizeof run) == 0) break;
        seen.insert(seen.end(), {reinterpret_cast<uint64_t>(run.AllocationBase), run.State,
                                 run.Protect, run.AllocationProtect});
        at += run.State == MEM_FREE ? kG : run.RegionSize;
      }
    }
    return seen;
  }

  std::mt19937_64 random_;
  std::vector<std::byte*> ours_;  // reservations
  std::vector<std::byte*> ever_;  // and those that were released
  std::array<unsigned char, 2 * kP> foreign_;
  std::map<std::string, Errors> errors_;
  std::map<std::string, uint64_t> worked_;
  std::string wrong_;
};

Call Fuzzer::Draw() {
  switch (Pick(9)) {
    case 0: case 1: return DrawAllocation();
    case 2: return DrawHint();
    case 3: return DrawQuestion();
    case 4: return DrawCounters();
    case 5: return Pick(2) == 0 ? DrawLimits() : DrawHold();
    default: return DrawChange();
  }
}

Call Fuzzer::DrawAllocation() {
  void* address = Address();
  SIZE_T bytes = Size();
  const DWORD type = Type();
  DWORD protect = Protection();
  const HANDLE process = Process();
  if (ours_.size() >= kMostReservations) {
    address = foreign_.data();
  } else if ((type & MEM_LARGE_PAGES) != 0 && Pick(3) != 0) {
    // Right, or nearly.
    address = nullptr;
    bytes = kLargePage + (Pick(4) == 0 ? Pick(kLargePage) : 0);
    protect = PAGE_READWRITE;
  }
  const auto keep = [&](void* got) {
    if (got == nullptr) return false;
    auto* base = static_cast<std::byte*>(Query(got).AllocationBase);
    if (std::find(ours_.begin(), ours_.end(), base) == ours_.end()) Keep(base);
    return true;
  };
  switch (Pick(4)) {
    case 0: return Do("VirtualAlloc",
                      [&] { return keep(VirtualAlloc(address, bytes, type, protect)); });
    case 1: return Do("VirtualAllocEx", [&] {
      return keep(VirtualAllocEx(process, address, bytes, type, protect));
    });
    case 2: return Do("VirtualAllocFromApp",
                      [&] { return keep(VirtualAllocFromApp(address, bytes, type, protect)); });
    default: {
      MEM_ADDRESS_REQUIREMENTS wanted = {Maybe(Address()), Maybe(Address()), Size()};
      MEM_EXTENDED_PARAMETER parameter = {};
      parameter.Type = MemExtendedParameterAddressRequirements;
      if (Pick(5) == 0) parameter.Type = random_() & 0xff;
      parameter.Pointer = Maybe(&wanted);
      const ULONG count = static_cast<ULONG>(Pick(2));
      MEM_EXTENDED_PARAMETER* parameters = Maybe(&parameter);
      const bool held = Pick(2) == 0;
      const DWORD type2 = held ? TypeOfPlaceholder() : type;
      const DWORD protect2 = held && Pick(2) == 0 ? PAGE_NOACCESS : protect;
      if (Pick(4) == 0) {
        return Do("VirtualAlloc2FromApp", [&] {
          return keep(VirtualAlloc2FromApp(process, address, bytes, type2, protect2, parameters,
                                           count));
        });
      }
      return Do("VirtualAlloc2", [&] {
        return keep(VirtualAlloc2(process, address, bytes, type2, protect2, parameters, count));
      });
    }
  }
}

Call Fuzzer::DrawChange() {
  void* address = Address();
  const SIZE_T bytes = Size();
  DWORD old = 0;
  DWORD* const old_pointer = Maybe(&old);
  const HANDLE process = Process();
  const DWORD protect = Protection();
  const DWORD type = Flags({MEM_DECOMMIT, MEM_DECOMMIT, MEM_RELEASE, 0,
                            MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER,
                            MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS});
  switch (Pick(10)) {
    case 0: return Do("VirtualFree", [&] { return VirtualFree(address, bytes, type); });
    case 1: return Do("VirtualFreeEx",
                      [&] { return VirtualFreeEx(process, address, bytes, type); });
    case 2: return Do("VirtualProtect",
                      [&] { return VirtualProtect(address, bytes, protect, old_pointer); });
    case 3: return Do("VirtualProtectEx", [&] {
      return VirtualProtectEx(process, address, bytes, protect, old_pointer);
    });
    case 4: return Do("VirtualUnlock", [&] { return VirtualUnlock(address, bytes); });
    case 5: return Do("ResetWriteWatch", [&] { return ResetWriteWatch(address, bytes) == 0; });
    case 6: return Do("VirtualLock", [&] { return VirtualLock(address, bytes); });
    case 7: return Do("SetProcessWorkingSetSizeEx", [&] {
      return SetProcessWorkingSetSizeEx(process, bytes, Size(), Flags({0, 0, 2, 8}));
    });
    case 8: return Do("VirtualProtectFromApp",
                      [&] { return VirtualProtectFromApp(address, bytes, protect, old_pointer); });
    default: return Do("EmptyWorkingSet", [&] { return EmptyWorkingSet(process); });
  }
}

Call Fuzzer::DrawHint() {
  void* address = Address();
  const SIZE_T bytes = Size();
  const HANDLE process = Process();
  switch (Pick(5)) {
    case 0: return DoDirect("OfferVirtualMemory", [&] {
      return OfferVirtualMemory(address, bytes, static_cast<OFFER_PRIORITY>(Pick(7)));
    });
    case 1: return DoDirect("ReclaimVirtualMemory",
                            [&] { return ReclaimVirtualMemory(address, bytes); });
    case 2: return DoDirect("DiscardVirtualMemory",
                            [&] { return DiscardVirtualMemory(address, bytes); });
    case 3: {
      std::array<WIN32_MEMORY_RANGE_ENTRY, 3> ranges;
      for (WIN32_MEMORY_RANGE_ENTRY& range : ranges) range = {Address(), Size()};
      WIN32_MEMORY_RANGE_ENTRY* const entries = Maybe(ranges.data());
      const ULONG_PTR count = Pick(4);
      const ULONG flags = Pick(6) == 0 ? static_cast<ULONG>(random_()) : 0;
      return Do("PrefetchVirtualMemory",
                [&] { return PrefetchVirtualMemory(process, count, entries, flags); });
    }
    default:
      return Do("RemoveVectoredExceptionHandler",
                [&] { return RemoveVectoredExceptionHandler(address) != 0; });
  }
}

Call Fuzzer::DrawQuestion() {
  void* address = Address();
  const SIZE_T bytes = Size();
  const HANDLE process = Process();
  MEMORY_BASIC_INFORMATION run = {};
  WIN32_MEMORY_REGION_INFORMATION region = {};
  PSAPI_WORKING_SET_EX_INFORMATION page = {address, {}};
  std::array<void*, 8> found = {};
  ULONG_PTR count = Pick(found.size() + 1);
  DWORD granularity = 0;
  switch (Pick(5)) {
    case 0: return DoInto(&run, "VirtualQuery", [&] {
      return VirtualQuery(address, Maybe(&run), Length(sizeof run)) != 0;
    });
    case 1: return DoInto(&run, "VirtualQueryEx", [&] {
      return VirtualQueryEx(process, address, Maybe(&run), Length(sizeof run)) != 0;
    });
    case 2: return DoInto(&region, "QueryVirtualMemoryInformation", [&] {
      return QueryVirtualMemoryInformation(
          process, address, static_cast<WIN32_MEMORY_INFORMATION_CLASS>(Pick(3)), Maybe(&region),
          Length(sizeof region), nullptr);
    });
    case 3: return DoInto(&page, "QueryWorkingSetEx", [&] {
      return QueryWorkingSetEx(process, Maybe(&page), Length(sizeof page));
    });
    default: return DoInto(&found, "GetWriteWatch", [&] {
      return GetWriteWatch(Pick(2) == 0 ? 0 : static_cast<DWORD>(random_()), address, bytes,
                           Maybe(found.data()), Maybe(&count), Maybe(&granularity)) == 0;
    });
  }
}

Call Fuzzer::DrawCounters() {
  const HANDLE process = Process();
  PROCESS_MEMORY_COUNTERS_EX counters = {};
  MEMORYSTATUSEX status = {};
  PERFORMANCE_INFORMATION performance = {};
  std::array<ULONG_PTR, 4> pages = {};
  BOOL state = FALSE;
  switch (Pick(7)) {
    case 0: return DoInto(&counters, "GetProcessMemoryInfo", [&] {
      return GetProcessMemoryInfo(
          process, reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(Maybe(&counters)),
          Length(sizeof counters));
    });
    case 1:
      status.dwLength = Length(sizeof status);
      return DoInto(&status, "GlobalMemoryStatusEx",
                    [&] { return GlobalMemoryStatusEx(Maybe(&status)); });
    case 2: return DoInto(&performance, "GetPerformanceInfo", [&] {
      return GetPerformanceInfo(Maybe(&performance), Length(sizeof performance));
    });
    case 3: return Do("QueryWorkingSet", [&] {
      return QueryWorkingSet(process, Maybe(pages.data()), Length(sizeof pages));
    });
    case 4: return Do("CreateMemoryResourceNotification", [&] {
      return CreateMemoryResourceNotification(
                 static_cast<MEMORY_RESOURCE_NOTIFICATION_TYPE>(Pick(4))) != nullptr;
    });
    case 5: {
      const HANDLE notification =
          Pick(2) == 0 ? Address()
                       : CreateMemoryResourceNotification(HighMemoryResourceNotification);
      return Do("QueryMemoryResourceNotification", [&] {
        return QueryMemoryResourceNotification(notification, Maybe(&state));
      });
    }
    default: return Do("AddVectoredExceptionHandler", [&] {
      return AddVectoredExceptionHandler(static_cast<ULONG>(Pick(3)), nullptr) != nullptr;
    });
  }
}

Call Fuzzer::DrawLimits() {
  const HANDLE process = Process();
  const SIZE_T low = Pick(2) == 0 ? Size() : Pick(100) * kP;
  const SIZE_T high = Pick(2) == 0 ? Size() : Pick(1000) * kP;
  std::array<SIZE_T, 2> told = {};
  DWORD flags = 0;
  SYSTEM_INFO system = {};
  switch (Pick(6)) {
    case 0: return Do("SetProcessWorkingSetSize",
                      [&] { return SetProcessWorkingSetSize(process, low, high); });
    case 1: return Do("SetProcessWorkingSetSizeEx", [&] {
      return SetProcessWorkingSetSizeEx(process, low, high, Flags({0, 0, 2, 8}));
    });
    case 2: return DoInto(&told, "GetProcessWorkingSetSize", [&] {
      return GetProcessWorkingSetSize(process, Maybe(&told[0]), Maybe(&told[1]));
    });
    case 3: return DoInto(&told, "GetProcessWorkingSetSizeEx", [&] {
      return GetProcessWorkingSetSizeEx(process, Maybe(&told[0]), Maybe(&told[1]), Maybe(&flags));
    });
    case 4: return Do("GetLargePageMinimum", [] {
      const SIZE_T bytes = GetLargePageMinimum();
      return bytes == 0 || bytes == kLargePage;
    });
    default: return Do("GetSystemInfo", [&] {
      GetSystemInfo(&system);
      return system.dwPageSize == kP && system.dwAllocationGranularity == kG;
    });
  }
}

// These give a userpager_error, and leave the last error alone as well.
Call Fuzzer::DrawHold() {
  void* address = Address();
  const uint64_t bytes = Size();
  const auto use = static_cast<unsigned>(Pick(5) == 0 ? Pick(1000) : Pick(2));
  // As C calls it, where an enum may have any value.
  using HoldOfC = int (*)(const void*, uint64_t, unsigned);
  const auto hold = reinterpret_cast<HoldOfC>(reinterpret_cast<void*>(&userpager_hold));
  if (Pick(2) == 0) {
    return DoDirect("userpager_release",
                    [&] { return static_cast<DWORD>(userpager_release(address, bytes)); });
  }
  return DoDirect("userpager_hold",
                  [&] { return static_cast<DWORD>(hold(address, bytes, use)); });
}

using BadInputTest = VirtualMemoryTest;

TEST_F(BadInputTest, GivesDocumentedErrorsAndChangesNothing) {
  const uint64_t seed =
      only_seed != nullptr ? std::strtoull(only_seed, nullptr, 0) : userpager::TestSeed();
  const HANDLE process = GetCurrentProcess();
  Fuzzer fuzzer(seed);
  for (uint64_t done = 0; done < most_calls; done += kCallsEachRound) {
    ASSERT_EQ(fuzzer.Round(kCallsEachRound), "") << "seed " << seed << ", call " << done;
    ASSERT_EQ(ChargedSinceStart(), 0u) << "seed " << seed << ", call " << done;
    ASSERT_TRUE(userpager::Runtime::Get()->pager().CheckConsistency());
    constexpr DWORD kSoft = QUOTA_LIMITS_HARDWS_MIN_DISABLE | QUOTA_LIMITS_HARDWS_MAX_DISABLE;
    ASSERT_TRUE(SetProcessWorkingSetSizeEx(process, 204800, 1413120, kSoft)) << GetLastError();
  }
  const std::map<std::string, Errors> documented = DocumentedErrors();
  for (const auto& [name, errors] : fuzzer.errors()) {
    ASSERT_TRUE(documented.contains(name)) << name;
    EXPECT_THAT(errors, testing::IsSubsetOf(documented.at(name))) << name << ", seed " << seed;
  }
  // Each was called, with right arguments too.
  for (const auto& [name, errors] : documented) {
    if (most_calls < kCalls || name == "AddVectoredExceptionHandler" ||
        name == "RemoveVectoredExceptionHandler") {
      continue;
    }
    EXPECT_TRUE(fuzzer.worked().contains(name)) << name << " was not called, seed " << seed;
  }
}

}  // namespace

bool TakeArgument(const char* argument) {
  constexpr const char kCount[] = "--calls=";
  constexpr const char kSeed[] = "--seed=";
  if (std::strncmp(argument, kCount, sizeof kCount - 1) == 0) {
    most_calls = std::strtoull(argument + sizeof kCount - 1, nullptr, 0);
  } else if (std::strncmp(argument, kSeed, sizeof kSeed - 1) == 0) {
    only_seed = argument + sizeof kSeed - 1;
  } else {
    return false;
  }
  return true;
}

}  // namespace userpager_tests

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (userpager_tests::TakeArgument(argv[i])) continue;
    std::fprintf(stderr, "unknown argument: %s (--calls=COUNT, --seed=NUMBER)\n", argv[i]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
