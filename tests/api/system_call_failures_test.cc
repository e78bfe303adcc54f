// Every system call failed in turn: of each kind that the kernel may refuse, the first that an
// operation makes, then the second, and so on until the operation makes no more. Each time the
// operation either fails with a documented error and has changed nothing, so that it works when it
// is tried again; or it has done all that it is to do.
#include <userpager/memory_hints.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>
#include <userpager/virtual_alloc2.h>
#include <userpager/write_watch.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>

#include "runtime/base/system_call.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/captured_log.h"
#include "tests/support/refusals.h"

namespace userpager_tests {
namespace {

using userpager::CallFaults;
using userpager::kRefusals;
using userpager::Refusal;

// An operation that makes more calls of one kind than that makes them without end.
constexpr uint64_t kMostCalls = 400;

bool IsDocumented(DWORD error) {
  constexpr DWORD kDocumented[] = {ERROR_NOT_ENOUGH_MEMORY, ERROR_COMMITMENT_LIMIT,
                                   ERROR_NO_SYSTEM_RESOURCES, ERROR_WORKING_SET_QUOTA,
                                   ERROR_PRIVILEGE_NOT_HELD};
  return std::find(std::begin(kDocumented), std::end(kDocumented), error) !=
         std::end(kDocumented);
}

// One operation, on memory that `prepare` makes anew each time.
struct Operation {
  std::function<void()> prepare;
  std::function<bool()> run;       // whether it worked; else the last error says why
  std::function<void()> unchanged;  // after a failure
  std::function<void()> done;       // after a success
  std::function<void()> clean;
};

class SystemCallFailuresTest : public VirtualMemoryTest {
 protected:
  static constexpr size_t kBytes = 3 * kG;

  void TearDown() override {
    CallFaults::Stop();
    VirtualMemoryTest::TearDown();
    RecordProperty("failed_calls", std::to_string(failed_));
  }

  void FailEach(const Operation& operation) {
    const userpager::CapturedLog log;
    for (const Refusal& refusal : kRefusals) {
      uint64_t n = 1;
      while (n < kMostCalls && FailsOne(operation, refusal, n)) ++n;
      EXPECT_LT(n, kMostCalls) << "kind " << static_cast<int>(refusal.kind);
      failed_ += n - 1;
      if (HasFailure()) return;
    }
  }
  // False where the operation made no such call.
  static bool FailsOne(const Operation& operation, const Refusal& refusal, uint64_t n) {
    SCOPED_TRACE("call " + std::to_string(n) + " of kind " +
                 std::to_string(static_cast<int>(refusal.kind)) + ", errno " +
                 std::to_string(refusal.error));
    operation.prepare();
    CallFaults::FailNth(refusal.kind, n, refusal.error);
    const bool worked = operation.run();
    const DWORD error = worked ? 0 : GetLastError();
    const bool hit = CallFaults::Stop();
    if (!worked) {
      EXPECT_TRUE(hit) << "it failed by itself: " << error;
      EXPECT_TRUE(IsDocumented(error)) << error;
      operation.unchanged();
      EXPECT_TRUE(operation.run()) << GetLastError();
    }
    operation.done();
    operation.clean();
    return hit;
  }

  void ReserveAnew() { base_ = Reserve(kBytes); }
  void CommitAnew() {
    base_ = Commit(kBytes);
    Fill();
  }
  void Fill() {
    for (size_t i = 0; i < kBytes / kP; ++i) memset(base_ + i * kP, static_cast<int>(i + 1), kP);
  }
  void ExpectFilled() {
    for (size_t i = 0; i < kBytes / kP; ++i) {
      ASSERT_EQ(ByteAt(base_ + i * kP), (i + 1) % 256) << i;
      ASSERT_EQ(ByteAt(base_ + i * kP + kP - 1), (i + 1) % 256) << i;
    }
  }
  void ReleaseIt() { Release(base_); }
  // Some pages dirty, some clean, some parked, some in the page file.
  void MixStates() {
    CommitAnew();
    VirtualUnlock(base_, kBytes / 2);
    for (size_t i = 0; i < kBytes / kP / 4; ++i) (void)ByteAt(base_ + i * kP);
  }

  std::byte* base_ = nullptr;
  uint64_t failed_ = 0;
};

TEST_F(SystemCallFailuresTest, Reserve) {
  FailEach({[] {}, [&] { return (base_ = userpager_tests::Reserve(kBytes)) != nullptr; }, [] {},
            [&] { ExpectRun(base_, kBytes, MEM_RESERVE, 0); }, [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, ReserveAndCommit) {
  const uint64_t before = CommitBytes();
  FailEach({[] {}, [&] { return (base_ = Commit(kBytes)) != nullptr; },
            [&] { EXPECT_EQ(CommitBytes(), before); },
            [&] {
              ExpectRun(base_, kBytes, MEM_COMMIT, PAGE_READWRITE);
              Fill();
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, CommitPart) {
  for (const int each : {PAGE_READWRITE, PAGE_EXECUTE_READWRITE, PAGE_NOACCESS}) {
    const auto protection = static_cast<DWORD>(each);
    FailEach({[&] { ReserveAnew(); }, [&] { return CommitAt(base_ + kP, kG, protection); },
              [&] { ExpectRun(base_, kBytes, MEM_RESERVE, 0); },
              [&] { ExpectRun(base_ + kP, kG, MEM_COMMIT, protection); }, [&] { ReleaseIt(); }});
  }
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, Protect) {
  for (const int each : {PAGE_READONLY, PAGE_NOACCESS, PAGE_EXECUTE_READ}) {
    const auto protection = static_cast<DWORD>(each);
    DWORD old = 0;
    FailEach({[&] { MixStates(); },
              [&] { return VirtualProtect(base_, kBytes, protection, &old) != 0; },
              [&] {
                ExpectRun(base_, kBytes, MEM_COMMIT, PAGE_READWRITE);
                ExpectFilled();
              },
              [&] {
                ExpectRun(base_, kBytes, MEM_COMMIT, protection);
                EXPECT_TRUE(WriteFaults(base_));
                EXPECT_TRUE(VirtualProtect(base_, kBytes, PAGE_READWRITE, &old));
                ExpectFilled();
                Fill();
              },
              [&] { ReleaseIt(); }});
  }
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, Decommit) {
  FailEach({[&] { MixStates(); }, [&] { return VirtualFree(base_, kBytes, MEM_DECOMMIT) != 0; },
            [&] { ExpectFilled(); },
            [&] {
              ExpectRun(base_, kBytes, MEM_RESERVE, 0);
              EXPECT_TRUE(ReadFaults(base_));
              EXPECT_TRUE(CommitAt(base_, kBytes));
              EXPECT_TRUE(IsZero(base_, kBytes));
            },
            [&] { ReleaseIt(); }});
}

// Where the kernel cannot unmap, the memory is free all the same, and the addresses are nobody's.
TEST_F(SystemCallFailuresTest, Release) {
  FailEach({[&] { MixStates(); }, [&] { return VirtualFree(base_, 0, MEM_RELEASE) != 0; },
            [&] { ExpectFilled(); }, [&] { EXPECT_TRUE(ReadFaults(base_ + kP)); }, [] {}});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, Lock) {
  constexpr size_t kLocked = 16 * kP;
  FailEach({[&] { MixStates(); }, [&] { return VirtualLock(base_, kLocked) != 0; },
            [&] { ExpectFilled(); },
            [&] {
              EXPECT_TRUE(VirtualUnlock(base_, kLocked));
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, Hold) {
  FailEach({[&] { MixStates(); },
            [&] { return userpager_hold(base_, kBytes, USERPAGER_HOLD_FOR_WRITING) == 0; },
            [&] { ExpectFilled(); },
            [&] {
              EXPECT_EQ(userpager_release(base_, kBytes), 0);
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

// A fault cannot fail: the program only waits longer.
TEST_F(SystemCallFailuresTest, FirstTouch) {
  FailEach({[&] { base_ = Commit(kBytes); },
            [&] {
              Fill();
              return true;
            },
            [] {}, [&] { ExpectFilled(); }, [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, SoftFaults) {
  FailEach({[&] {
              CommitAnew();
              VirtualUnlock(base_, kBytes);
            },
            [&] {
              ExpectFilled();
              Fill();
              return true;
            },
            [] {}, [&] { ExpectFilled(); }, [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, WriteWatch) {
  constexpr DWORD kType = MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH;
  const auto written = [&] {
    std::array<void*, 8> pages;
    ULONG_PTR count = pages.size();
    DWORD granularity = 0;
    const UINT failed = GetWriteWatch(WRITE_WATCH_FLAG_RESET, base_, kBytes, pages.data(), &count,
                                      &granularity);
    return failed == 0 ? static_cast<size_t>(count) : SIZE_MAX;
  };
  FailEach({[] {},
            [&] { return (base_ = Alloc(nullptr, kBytes, kType, PAGE_READWRITE)) != nullptr; },
            [] {},
            [&] {
              base_[5] = std::byte{1};
              base_[2 * kP] = std::byte{1};
              EXPECT_EQ(written(), 2u);
              EXPECT_EQ(written(), 0u);
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, Placeholders) {
  const auto make = [&] {
    base_ = static_cast<std::byte*>(
        VirtualAlloc2(nullptr, nullptr, kBytes, MEM_RESERVE | MEM_RESERVE_PLACEHOLDER,
                      PAGE_NOACCESS, nullptr, 0));
    return base_ != nullptr;
  };
  FailEach({[] {}, make, [] {}, [&] { EXPECT_EQ(Query(base_).RegionSize, kBytes); },
            [&] { ReleaseIt(); }});
  FailEach({[&] { EXPECT_TRUE(make()); },
            [&] {
              return VirtualAlloc2(nullptr, base_, kBytes,
                                   MEM_RESERVE | MEM_COMMIT | MEM_REPLACE_PLACEHOLDER,
                                   PAGE_READWRITE, nullptr, 0) != nullptr;
            },
            [&] { ExpectRun(base_, kBytes, MEM_RESERVE, 0); },
            [&] {
              Fill();
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

TEST_F(SystemCallFailuresTest, ResetAndDiscard) {
  FailEach({[&] { MixStates(); },
            [&] { return VirtualAlloc(base_, kBytes, MEM_RESET, PAGE_READWRITE) != nullptr; },
            [&] { ExpectFilled(); },
            [&] {
              EXPECT_EQ(DiscardVirtualMemory(base_, kBytes), 0u);
              Fill();
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
}

TEST_F(SystemCallFailuresTest, OfferAndReclaim) {
  FailEach({[&] { MixStates(); },
            [&] {
              const DWORD error = OfferVirtualMemory(base_, kBytes, VmOfferPriorityLow);
              if (error != 0) SetLastError(error);
              return error == 0;
            },
            [&] { ExpectFilled(); },
            [&] {
              EXPECT_TRUE(ReadFaults(base_));
              const DWORD error = ReclaimVirtualMemory(base_, kBytes);
              EXPECT_TRUE(error == 0 || error == ERROR_BUSY) << error;
              if (error == 0) ExpectFilled();
              Fill();
              ExpectFilled();
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

// What ends an offer makes calls of its own.
TEST_F(SystemCallFailuresTest, Reclaim) {
  FailEach({[&] {
              CommitAnew();
              EXPECT_EQ(OfferVirtualMemory(base_, kBytes, VmOfferPriorityNormal), 0u);
            },
            [&] {
              const DWORD error = ReclaimVirtualMemory(base_, kBytes);
              if (error != 0) SetLastError(error);
              return error == 0;
            },
            [] {}, [&] { ExpectFilled(); }, [&] { ReleaseIt(); }});
}

// Large pages are refused where any of it is, and nothing stays locked or charged.
TEST_F(SystemCallFailuresTest, LargePages) {
  const size_t large = GetLargePageMinimum();
  const auto make = [&] {
    base_ = Alloc(nullptr, large, MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES, PAGE_READWRITE);
    return base_ != nullptr;
  };
  if (large == 0 || !make()) GTEST_SKIP() << "large pages are not to be had here";
  ReleaseIt();
  const uint64_t before = CommitBytes();
  const uint64_t resident = Stats().resident_bytes;
  FailEach({[] {}, make,
            [&] {
              EXPECT_EQ(CommitBytes(), before);
              EXPECT_LE(Stats().resident_bytes, resident);
            },
            [&] {
              EXPECT_TRUE(IsZero(base_, large));
              memset(base_, 1, large);
            },
            [&] { ReleaseIt(); }});
  EXPECT_GT(failed_, 0u);
}

// A limit of memory that cannot be had stays as it was.
TEST_F(SystemCallFailuresTest, SetMemoryLimit) {
  const uint64_t before = Stats().memory_limit_bytes;
  for (const uint64_t limit : {before - 4 * kMiB, before + 4 * kMiB}) {
    for (const Refusal& refusal : kRefusals) {
      uint64_t n = 1;
      for (bool hit = true; hit && n < kMostCalls; ++n) {
        CommitAnew();
        CallFaults::FailNth(refusal.kind, n, refusal.error);
        const int failed = userpager_set_memory_limit(limit);
        hit = CallFaults::Stop();
        EXPECT_EQ(Stats().memory_limit_bytes, failed == 0 ? limit : before);
        ExpectFilled();
        ReleaseIt();
        EXPECT_EQ(userpager_set_memory_limit(before), 0) << userpager_error_message();
      }
      EXPECT_LT(n, kMostCalls);
    }
  }
}

}  // namespace
}  // namespace userpager_tests
