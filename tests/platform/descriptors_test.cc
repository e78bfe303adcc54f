#include "runtime/platform/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace userpager {
namespace {

int Opened() { return open("/dev/null", O_RDWR | O_CLOEXEC); }

bool IsOpen(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

TEST(DescriptorsTest, AreKeptOutOfTheWayAndFound) {
  const int low = Opened();
  const int first = Descriptors::Keep(low);
  const int second = Descriptors::Keep(Opened());
  EXPECT_FALSE(IsOpen(low));
  EXPECT_GT(first, low);
  EXPECT_NE(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(Descriptors::Has(first));
  EXPECT_FALSE(Descriptors::Has(low));
  EXPECT_FALSE(Descriptors::Has(-1));
  EXPECT_EQ(Descriptors::Next(0), first);
  EXPECT_EQ(Descriptors::Next(first + 1), second);
  EXPECT_EQ(Descriptors::Next(second + 1), -1);
  Descriptors::Close(first);
  EXPECT_FALSE(IsOpen(first));
  EXPECT_EQ(Descriptors::Next(0), second);
  // The lowest is told, wherever it is remembered.
  const int third = Descriptors::Keep(Opened());
  EXPECT_EQ(third, first);
  const int fourth = Descriptors::Keep(Opened());
  Descriptors::Close(third);
  Descriptors::Close(second);
  const int fifth = Descriptors::Keep(Opened());
  EXPECT_EQ(fifth, first);
  EXPECT_EQ(Descriptors::Next(0), fifth);
  Descriptors::Close(fourth);
  Descriptors::Close(fifth);
  EXPECT_EQ(Descriptors::Next(0), -1);
}

TEST(DescriptorsTest, AFailureIsPassedOn) {
  errno = EMFILE;
  EXPECT_EQ(Descriptors::Keep(-1), -1);
  EXPECT_EQ(errno, EMFILE);
  Descriptors::Close(-1);
}

// Under a limit so low that nothing is above it, a descriptor keeps the number that it has.
TEST(DescriptorsTest, StayWhereTheyAreWhereThereIsNoRoomAbove) {
  EXPECT_EQ(InChild([]() -> std::string {
    const int opened = Opened();
    const rlimit few{static_cast<rlim_t>(opened) + 1, 4096};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) return "no limit can be set";
    errno = 0;
    if (Descriptors::Keep(opened) != opened) return "it has another number";
    if (errno != 0) return "errno was changed";
    if (!IsOpen(opened) || !Descriptors::Has(opened)) return "it was lost";
    const rlimit some{100, 4096};
    if (setrlimit(RLIMIT_NOFILE, &some) != 0) return "no other limit can be set";
    const int other = Descriptors::Keep(Opened());
    return other >= 0 && other < 100 ? "" : "a number beyond the limit";
  }), "");
}

TEST(DescriptorsTest, AForkedChildClosesAllButWhatItGoesOnUsing) {
  const int closed = Descriptors::Keep(Opened());
  const int used = Descriptors::KeepInChildren(Descriptors::Keep(Opened()));
  EXPECT_EQ(InChild([&]() -> std::string {
    Descriptors::CloseInherited();
    if (IsOpen(closed) || Descriptors::Has(closed)) return "it has what acts on its parent";
    if (!IsOpen(used) || !Descriptors::Has(used)) return "it lacks what it goes on using";
    Descriptors::CloseAll();
    return IsOpen(used) ? "it has something of all" : "";
  }), "");
  EXPECT_TRUE(IsOpen(closed));
  Descriptors::Close(closed);
  Descriptors::Close(used);
}

}  // namespace
}  // namespace userpager
