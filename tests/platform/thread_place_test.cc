#include "runtime/platform/thread_place.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "runtime/platform/guard_notice.h"
#include "runtime/platform/thread_file.h"

namespace userpager {
namespace {

// A message can outlive the thread that it names, and the number can be of another process: nothing
// of either is looked for.
TEST(ThreadPlaceTest, ThreadsThatAreNotThere) {
  std::atomic<uint32_t> id{0};
  std::thread([&] { id.store(static_cast<uint32_t>(gettid())); }).join();
  constexpr uint32_t kInit = 1;
  for (const uint32_t nobody : {id.load(), kInit}) {
    EXPECT_EQ(CpuOfThread(nobody), -1);
    EXPECT_EQ(PlaceOfFault(nobody), FaultPlace::kProgram);
    EXPECT_EQ(ThreadFile(nobody, "wchan").text(), "");
    SendGuardNotice(nobody, 0);
  }
  EXPECT_GE(CpuOfThread(static_cast<uint32_t>(gettid())), 0);
}

TEST(ThreadPlaceTest, BindsAndReleases) {
  std::thread([] {
    ThreadPlace place;
    place.Init();
    const int cpu = CpuOfThread(static_cast<uint32_t>(gettid()));
    place.BindTo(cpu);
    cpu_set_t bound;
    ASSERT_EQ(sched_getaffinity(0, sizeof bound, &bound), 0);
    EXPECT_EQ(CPU_COUNT(&bound), 1);
    place.BindTo(-1);
    place.BindTo(CPU_SETSIZE);
    place.Release();
    ASSERT_EQ(sched_getaffinity(0, sizeof bound, &bound), 0);
    EXPECT_TRUE(CPU_ISSET(static_cast<size_t>(cpu), &bound));
  }).join();
}

}  // namespace
}  // namespace userpager
