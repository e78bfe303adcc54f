// What VirtualQuery says of memory that is in no reservation, and that nothing changes it.
#include "runtime/platform/process_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/sync_point.h"
#include "runtime/platform/address_map.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/temp_directory.h"

namespace userpager_tests {
namespace {

using userpager::ProcessMap;
using userpager::ProcessMapping;
using userpager::SyncPoints;

using ProcessMapTest = VirtualMemoryTest;

std::byte* Mapped(std::size_t bytes, int access, int flags = MAP_PRIVATE | MAP_ANONYMOUS,
                  int file = -1) {
  void* got = mmap(nullptr, bytes, access, flags, file, 0);
  EXPECT_NE(got, MAP_FAILED) << errno;
  return static_cast<std::byte*>(got);
}

int initialised_data = 5;

TEST_F(ProcessMapTest, VQ15_Images) {
  const auto* code = reinterpret_cast<const void*>(&Mapped);
  const MEMORY_BASIC_INFORMATION text = Query(code);
  EXPECT_EQ(text.State, DWORD{MEM_COMMIT});
  EXPECT_EQ(text.Type, DWORD{MEM_IMAGE});
  EXPECT_EQ(text.Protect, DWORD{PAGE_EXECUTE_READ});
  const MEMORY_BASIC_INFORMATION data = Query(&initialised_data);
  EXPECT_EQ(data.Type, DWORD{MEM_IMAGE});
  EXPECT_EQ(data.Protect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(data.AllocationBase, text.AllocationBase) << "one allocation";
  EXPECT_LT(text.AllocationBase, code) << "the headers come before the code";
}

TEST_F(ProcessMapTest, VQ15_PrivateMemoryAndStacks) {
  struct Row {
    int access;
    DWORD protect;
  };
  for (const Row row : {Row{PROT_NONE, PAGE_NOACCESS}, Row{PROT_READ, PAGE_READONLY},
                        Row{PROT_READ | PROT_WRITE, PAGE_READWRITE}, Row{PROT_EXEC, PAGE_EXECUTE},
                        Row{PROT_READ | PROT_EXEC, PAGE_EXECUTE_READ},
                        Row{PROT_READ | PROT_WRITE | PROT_EXEC, PAGE_EXECUTE_READWRITE}}) {
    std::byte* base = Mapped(4 * kP, PROT_NONE);
    ASSERT_EQ(mprotect(base + kP, 2 * kP, row.access), 0);
    const MEMORY_BASIC_INFORMATION information = Query(base + kP + 5);
    EXPECT_EQ(information.BaseAddress, base + kP);
    if (row.access != PROT_NONE) {
      EXPECT_EQ(information.RegionSize, 2 * kP);
      EXPECT_EQ(information.AllocationBase, base + kP);
    }
    EXPECT_EQ(information.State, DWORD{MEM_COMMIT});
    EXPECT_EQ(information.Protect, row.protect);
    EXPECT_EQ(information.Type, DWORD{MEM_PRIVATE});
    munmap(base, 4 * kP);
  }
  const int on_stack = 0;
  EXPECT_EQ(Query(&on_stack).Protect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(Query(&on_stack).Type, DWORD{MEM_PRIVATE});
}

TEST_F(ProcessMapTest, VQ15_MappedFiles) {
  userpager::TempDirectory directory;
  const std::string path = directory / "file";
  userpager::WriteFile(path, std::string(4 * kP, 'x'));
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  struct Row {
    int access;
    int flags;
    DWORD protect;
  };
  for (const Row row : {Row{PROT_READ, MAP_SHARED, PAGE_READONLY},
                        Row{PROT_READ | PROT_WRITE, MAP_SHARED, PAGE_READWRITE},
                        Row{PROT_READ, MAP_PRIVATE, PAGE_READONLY},
                        Row{PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGE_WRITECOPY}}) {
    std::byte* base = Mapped(4 * kP, row.access, row.flags, file);
    const MEMORY_BASIC_INFORMATION information = Query(base + kP);
    EXPECT_EQ(information.Type, DWORD{MEM_MAPPED});
    EXPECT_EQ(information.Protect, row.protect);
    EXPECT_EQ(information.AllocationBase, base);
    EXPECT_EQ(information.RegionSize, 3 * kP);
    munmap(base, 4 * kP);
  }
  // The parts of a file that lie side by side are one allocation.
  std::byte* base = Mapped(4 * kP, PROT_READ, MAP_PRIVATE, file);
  ASSERT_EQ(mprotect(base + kP, kP, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(Query(base).RegionSize, kP);
  EXPECT_EQ(Query(base + kP).RegionSize, kP);
  EXPECT_EQ(Query(base + 3 * kP).AllocationBase, base);
  munmap(base, 4 * kP);
  close(file);
  std::byte* shared = Mapped(2 * kP, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  EXPECT_EQ(Query(shared).Type, DWORD{MEM_MAPPED});
  EXPECT_EQ(Query(shared).Protect, DWORD{PAGE_READWRITE});
  munmap(shared, 2 * kP);
}

// Free space ends where anything begins, managed or not, and a reservation's tail is free.
TEST_F(ProcessMapTest, VQ6_FreeSpaceBetween) {
  std::byte* space = FreeSpace(4 * kG);
  ASSERT_EQ(
      mmap(space + kG, kP, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
      space + kG);
  ASSERT_EQ(Alloc(space + 2 * kG, kP, MEM_RESERVE, PAGE_READWRITE), space + 2 * kG);
  ExpectRun(space, kG, MEM_FREE, PAGE_NOACCESS);
  ExpectRun(space + kG, kP, MEM_COMMIT, PAGE_READONLY);
  ExpectRun(space + kG + kP, kG - kP, MEM_FREE, PAGE_NOACCESS);
  ExpectRun(space + 2 * kG, kP, MEM_RESERVE, 0);
  const MEMORY_BASIC_INFORMATION tail = Query(space + 2 * kG + kP);
  EXPECT_EQ(tail.State, DWORD{MEM_FREE});
  EXPECT_EQ(tail.AllocationBase, nullptr);
  EXPECT_GE(tail.RegionSize, 2 * kG - kP) << "what is free behind the tail joins it";
  Release(space + 2 * kG);
  munmap(space + kG, kP);
}

struct Walked {
  uint64_t end = 0;
  size_t runs = 0;
  size_t broken = 0;
  size_t managed = 0;
};

// From 0 to the end of the address space, each run where the last one ended.
Walked Walk(const std::byte* managed_base) {
  Walked walked;
  const uint64_t end = userpager::AddressOf(userpager::kEndOfAddressSpace);
  const void* allocation = nullptr;
  std::vector<const void*> seen;
  for (; walked.end < end && walked.runs < 100'000; ++walked.runs) {
    MEMORY_BASIC_INFORMATION information;
    if (VirtualQuery(reinterpret_cast<void*>(walked.end), &information, sizeof information) == 0) {
      break;
    }
    const auto base = reinterpret_cast<uint64_t>(information.BaseAddress);
    walked.broken += base != walked.end || information.RegionSize == 0;
    walked.broken += (information.State == MEM_FREE) != (information.AllocationBase == nullptr);
    walked.managed += information.AllocationBase == managed_base;
    // The runs of one allocation are neighbours.
    if (information.AllocationBase != allocation) {
      for (const void* before : seen) {
        walked.broken += before != nullptr && before == information.AllocationBase;
      }
      seen.push_back(information.AllocationBase);
      allocation = information.AllocationBase;
    }
    walked.end = base + information.RegionSize;
  }
  return walked;
}

TEST_F(ProcessMapTest, VQ15_WalkHasNoGapsAndNoOverlaps) {
  std::byte* base = Reserve(4 * kG);
  ASSERT_TRUE(CommitAt(base + kG, kG));
  const Walked walked = Walk(base);
  EXPECT_EQ(walked.end, userpager::AddressOf(userpager::kEndOfAddressSpace));
  EXPECT_EQ(walked.broken, 0u);
  EXPECT_EQ(walked.managed, 3u);
  EXPECT_GT(walked.runs, 20u);
  Release(base);
}

// Others' mappings and reservations come and go: a walk ends all the same, and what does not change
// is told right.
TEST_F(ProcessMapTest, VQ15_WalkAmongChanges) {
  std::byte* base = Reserve(4 * kG);
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    while (!stop.load()) {
      std::byte* other = Alloc(nullptr, kG, MEM_RESERVE, PAGE_READWRITE);
      void* mapped = mmap(nullptr, kG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      VirtualFree(other, 0, MEM_RELEASE);
      munmap(mapped, kG);
    }
  });
  for (int round = 0; round < 20; ++round) {
    const Walked walked = Walk(base);
    EXPECT_EQ(walked.end, userpager::AddressOf(userpager::kEndOfAddressSpace));
    EXPECT_EQ(walked.managed, 1u);
  }
  stop.store(true);
  changer.join();
  Release(base);
}

// A reservation is never described as somebody else's memory: not even one that comes after the
// tree was asked and before the kernel's map is read, and that has gone when the answer is given.
TEST_F(ProcessMapTest, ReservationsAreNeverForeign) {
  // Not where the kernel would put something of the other thread's meanwhile.
  std::byte* space = FreeSpace(kG);
  ASSERT_NE(space, nullptr);
  std::thread other;
  std::atomic<bool> reserved{false};
  // Waits as long as a reservation can take that nothing holds up; here the query holds it up.
  SyncPoints::Set("query:before_map", [&](uint64_t) {
    other = std::thread([&] {
      EXPECT_NE(Alloc(space, kG, MEM_RESERVE, PAGE_READWRITE), nullptr);
      reserved.store(true);
    });
    for (int i = 0; i < 50 && !reserved.load(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  SyncPoints::Set("query:after_map", [&](uint64_t) {
    if (reserved.load()) VirtualFree(space, 0, MEM_RELEASE);
  });
  EXPECT_EQ(Query(space).State, DWORD{MEM_FREE});
  SyncPoints::ClearAll();
  other.join();
  EXPECT_EQ(Query(space).State, DWORD{MEM_RESERVE});
  Release(space);
}

TEST_F(ProcessMapTest, ChangingCallsRefuse) {
  std::byte* base = Mapped(2 * kG, PROT_READ | PROT_WRITE);
  DWORD old = 0;
  const auto refused = [&](void* address) {
    EXPECT_EQ(AllocError(address, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
    EXPECT_EQ(FreeError(address, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
    EXPECT_EQ(FreeError(address, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
    EXPECT_EQ(ProtectError(address, kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
    EXPECT_EQ(ErrorOf([=] { return VirtualLock(address, kP); }), ERROR_INVALID_ADDRESS);
    EXPECT_EQ(ErrorOf([=] { return VirtualUnlock(address, kP); }), ERROR_INVALID_ADDRESS);
  };
  refused(base);
  refused(&initialised_data);
  refused(reinterpret_cast<void*>(&Mapped));
  EXPECT_EQ(AllocError(base + kG, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  base[0] = std::byte{1};
  EXPECT_EQ(Query(base).Protect, DWORD{PAGE_READWRITE}) << "nothing has changed";
  munmap(base, 2 * kG);
}

TEST(ProcessMapTextTest, ParsesLines) {
  ProcessMapping mapping;
  ASSERT_TRUE(userpager::ParseMapping(
      "7f1c4a000000-7f1c4a021000 rw-p 00001000 08:01 131                    /usr/lib/x (deleted)",
      &mapping));
  EXPECT_EQ(userpager::AddressOf(mapping.range.begin), 0x7f1c4a000000u);
  EXPECT_EQ(userpager::AddressOf(mapping.range.end), 0x7f1c4a021000u);
  EXPECT_TRUE(mapping.readable && mapping.writable && !mapping.executable && !mapping.shared);
  EXPECT_EQ(mapping.inode, 131u);
  EXPECT_TRUE(userpager::ParseMapping("1000-2000 --xs 00000000 00:00 0", &mapping));
  EXPECT_TRUE(mapping.executable && mapping.shared && !mapping.readable && !mapping.HasFile());
  for (const char* bad :
       {"", "1000", "1000-2000", "1000-2000 rw", "1000-2000 rw-p 0 08:01",
        "1000-2000 rw-p 0 08:01 x", "1000-2000 rw-p", "1000-2000 rw-p 0",
        "1000-2000 rw-p x 08:01 1", "1000-2000 rw-p 0 08;01 1", "1000+2000 rw-p 0 08:01 1",
        "zz-2000 rw-p 0 08:01 1"}) {
    EXPECT_FALSE(userpager::ParseMapping(bad, &mapping)) << bad;
  }
}

// Kernels before 6.11 have the text alone: it says the same. Long names fill its buffer.
TEST(ProcessMapTextTest, TextAndQueryAgree) {
  userpager::TempDirectory directory;
  std::string path = directory.path();
  for (int depth = 0; depth < 20; ++depth) {
    path += "/" + std::string(240, 'd');
    if (mkdir(path.c_str(), 0700) != 0) break;
    const int file = open((path + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) break;
    ASSERT_EQ(ftruncate(file, kP), 0);
    Mapped(kP, PROT_READ, MAP_SHARED, file);
    close(file);
  }
  ProcessMap query;
  ProcessMap text;
  ASSERT_EQ(query.Open(), 0);
  ASSERT_EQ(text.Open(), 0);
  text.UseText();
  size_t mappings = 0;
  for (userpager::PageIndex page(0); page < userpager::kEndOfAddressSpace; ++mappings) {
    ProcessMapping a;
    ProcessMapping b;
    const int error = query.AtOrAfter(page, &a);
    ASSERT_EQ(text.AtOrAfter(page, &b), error);
    if (error != 0) break;
    ASSERT_EQ(a.range, b.range) << mappings;
    EXPECT_EQ(a.inode, b.inode);
    EXPECT_EQ(a.device, b.device);
    EXPECT_EQ(a.readable, b.readable);
    EXPECT_EQ(a.writable, b.writable);
    EXPECT_EQ(a.executable, b.executable);
    EXPECT_EQ(a.shared, b.shared);
    page = a.range.end;
  }
  EXPECT_GT(mappings, 20u);
}

}  // namespace
}  // namespace userpager_tests
