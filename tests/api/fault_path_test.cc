// Faults are answered while the tree of reservations is locked: a call that holds the lock may
// take as long as it likes, and no thread waits for it but those that call too.
#include <signal.h>
#include <userpager/virtual_alloc.h>

#include <atomic>
#include <cstddef>
#include <thread>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/api/memory_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/guarded_access.h"

namespace userpager_tests {
namespace {

class FaultPathTest : public MemoryTest {
 protected:
  void TearDown() override { userpager::SyncPoints::ClearAll(); }
};

TEST_F(FaultPathTest, TakesNoLockOfTheTree) {
  constexpr size_t kBytes = 4 * kMemoryLimitBytes;
  // With a page behind it that is reserved and no more.
  auto* memory = static_cast<unsigned char*>(
      VirtualAlloc(nullptr, kBytes + 4096, MEM_RESERVE, PAGE_READWRITE));
  ASSERT_NE(memory, nullptr);
  ASSERT_NE(VirtualAlloc(memory, kBytes, MEM_COMMIT, PAGE_READWRITE), nullptr);
  // Most of it is in the page file then; the second half was never touched.
  for (size_t at = 0; at < kBytes / 2; at += 4096) {
    memory[at] = static_cast<unsigned char>(at >> 12);
  }
  std::thread toucher;
  std::atomic<unsigned> done{0};
  std::atomic<bool> all_done{false};
  userpager::SyncPoints::Set("query:before_map", [&](uint64_t) {
    toucher = std::thread([&] {
      for (size_t at = 0; at < 64 * 4096; at += 4096) {
        done += memory[at] == static_cast<unsigned char>(at >> 12);
        memory[at] = 1;
        memory[kBytes / 2 + at] = 2;
      }
      // Not even the end of a program's mistake waits.
      done += userpager::TryRead(memory + kBytes).signal == SIGSEGV;
      all_done.store(true);
    });
    EXPECT_TRUE(userpager::Eventually([&] { return all_done.load(); }));
  });
  MEMORY_BASIC_INFORMATION information;
  EXPECT_NE(VirtualQuery(&information, &information, sizeof information), 0u);
  toucher.join();
  EXPECT_EQ(done.load(), 65u);
  EXPECT_TRUE(VirtualFree(memory, 0, MEM_RELEASE));
}

}  // namespace
}  // namespace userpager_tests
