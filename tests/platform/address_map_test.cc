#include "runtime/platform/address_map.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/guarded_access.h"

namespace userpager {
namespace {

// The VmFlags of the mapping that begins at the page (proc(5), smaps).
std::string FlagsOf(PageIndex page) {
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    const size_t dash = line.find('-');
    if (dash != std::string::npos && dash < line.find(' ')) {
      const uint64_t begin = std::strtoull(line.c_str(), nullptr, 16);
      const uint64_t end = std::strtoull(line.c_str() + dash + 1, nullptr, 16);
      here = begin <= AddressOf(page) && AddressOf(page) < end;
    } else if (here && line.rfind("VmFlags:", 0) == 0) {
      return line + " ";
    }
  }
  return "";
}

constexpr PageCount kPages{32};

TEST(AddressMap, ReservationsAreAlignedAndInaccessible) {
  std::vector<PageIndex> taken;
  for (unsigned i = 0; i < 64; ++i) {
    PageIndex page;
    ASSERT_EQ(MapReservation(PageIndex(0), kPages, &page), 0);
    EXPECT_EQ(AddressOf(page) % kGranularityBytes, 0u);
    for (const PageIndex other : taken) {
      EXPECT_FALSE(PageRange(page, kPages).Overlaps(PageRange(other, kPages)));
    }
    taken.push_back(page);
  }
  EXPECT_EQ(TryRead(PointerTo(taken[0])).signal, SIGSEGV);
  for (const PageIndex page : taken) EXPECT_EQ(Unmap(PageRange(page, kPages)), 0);
}

TEST(AddressMap, ReservationsHaveNoHugePagesAndAreNotInherited) {
  PageIndex page;
  ASSERT_EQ(MapReservation(PageIndex(0), kPages, &page), 0);
  const std::string flags = FlagsOf(page);
  ASSERT_NE(flags, "");
  EXPECT_NE(flags.find(" dc "), std::string::npos) << flags;  // not copied by fork
  EXPECT_EQ(flags.find(" wr "), std::string::npos) << flags;
  EXPECT_EQ(flags.find(" hg "), std::string::npos) << flags;
  const pid_t child = fork();
  if (child == 0) _exit(TryRead(PointerTo(page)).signal == SIGSEGV ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(Unmap(PageRange(page, kPages)), 0);
}

TEST(AddressMap, AtAGivenAddress) {
  PageIndex page;
  ASSERT_EQ(MapReservation(PageIndex(0), kPages, &page), 0);
  PageIndex again;
  EXPECT_EQ(MapReservation(page, kPages, &again), EEXIST);
  // Overlapping by its last unit alone.
  const PageIndex below(page.value() - kPages.value() / 2);
  EXPECT_EQ(MapReservation(below, kPages, &again), EEXIST);
  ASSERT_EQ(Unmap(PageRange(page, kPages)), 0);
  ASSERT_EQ(MapReservation(page, kPages, &again), 0);
  EXPECT_EQ(again, page);
  EXPECT_EQ(Unmap(PageRange(page, kPages)), 0);
}

TEST(AddressMap, MoreThanThereIs) {
  PageIndex page;
  EXPECT_EQ(MapReservation(PageIndex(0), PageCount(kEndOfAddressSpace.value()), &page), ENOMEM);
  EXPECT_EQ(MapReservation(PageIndex(0), PageCount((uint64_t{1} << 52) - 1), &page), ENOMEM);
}

TEST(AddressMap, OwnMemoryIsWritableAndStaysOutOfCoreFiles) {
  PageIndex page;
  ASSERT_EQ(MapOwn(kPages, false, &page), 0);
  EXPECT_EQ(TryWrite(PointerTo(page), 1).signal, 0);
  const std::string flags = FlagsOf(page);
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dc "), std::string::npos) << flags;
  EXPECT_EQ(flags.find(" ex "), std::string::npos) << flags;
  EXPECT_EQ(Unmap(PageRange(page, kPages)), 0);
  ASSERT_EQ(MapOwn(kPages, true, &page), 0);
  EXPECT_NE(FlagsOf(page).find(" ex "), std::string::npos);
  EXPECT_EQ(Unmap(PageRange(page, kPages)), 0);
}

}  // namespace
}  // namespace userpager
