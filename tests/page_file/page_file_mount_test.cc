// The page file on file systems and devices that are full, read-only or somebody else's. They are
// mounted in a mount namespace of this process, which ends with it. Needs root.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "runtime/base/system_call.h"
#include "runtime/page_file/page_file.h"
#include "tests/support/child_process.h"
#include "tests/support/loop_device.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

struct Outcome {
  Errno error;
  std::string line;
};

Outcome Open(PageFile* file, const std::string& path, uint64_t max_bytes = 256 * kMiB) {
  LogLine line;
  const Errno error = file->Open({path, max_bytes}, &line);
  return {error, std::string(line.text())};
}

bool Has(const Outcome& outcome, const char* words) {
  return outcome.line.find(words) != std::string::npos;
}

class PageFileMountTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: mounting a file system needs root";
    const std::string problem = EnterOwnMounts();
    if (!problem.empty()) GTEST_SKIP() << "SKIPPED: " << problem;
    point_ = directory_ / "mount";
    ASSERT_EQ(mkdir(point_.c_str(), 0755), 0);
  }
  void TearDown() override {
    EXPECT_TRUE(!mounted_ || umount2(point_.c_str(), MNT_DETACH) == 0) << strerror(errno);
  }

  void MountTmpfs(const std::string& size) {
    mounted_ = mount("tmpfs", point_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    ASSERT_TRUE(mounted_) << strerror(errno);
  }
  uint64_t FreeBlocks() const {
    struct statvfs status{};
    EXPECT_EQ(statvfs(point_.c_str(), &status), 0);
    return status.f_bfree;
  }

  TempDirectory directory_;
  std::string point_;
  bool mounted_ = false;
};

TEST_F(PageFileMountTest, ReadOnlyFileSystemIsRefused) {
  MountTmpfs("16M");
  WriteFile(point_ + "/pages", "");
  ASSERT_EQ(mount(nullptr, point_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  for (const std::string& path : {point_, point_ + "/pages"}) {
    PageFile file;
    const Outcome outcome = Open(&file, path);
    EXPECT_EQ(outcome.error, EROFS);
    EXPECT_TRUE(Has(outcome, "read-only")) << outcome.line;
  }
}

TEST_F(PageFileMountTest, FullFileSystemIsRefusedAndLeftAsItWas) {
  MountTmpfs("512K");
  const std::string empty = point_ + "/empty";
  WriteFile(empty, "");
  const uint64_t free_before = FreeBlocks();
  for (const std::string& path : {point_, empty}) {
    PageFile file;
    const Outcome outcome = Open(&file, path);
    EXPECT_EQ(outcome.error, ENOSPC);
    EXPECT_TRUE(Has(outcome, "no room")) << outcome.line;
    EXPECT_EQ(FreeBlocks(), free_before);
  }
  EXPECT_EQ(ContentOf(empty), "");
  EXPECT_EQ(unlink(empty.c_str()), 0);
  EXPECT_TRUE(std::filesystem::is_empty(point_)) << "a file was left beside the one that was there";
}

TEST_F(PageFileMountTest, GrowthThatDoesNotFitChangesNothing) {
  MountTmpfs("8M");
  PageFile file;
  ASSERT_EQ(Open(&file, point_).error, 0);
  // 64 MiB do not fit, what is asked for does.
  ASSERT_EQ(file.Grow(PageCount(1000)), 0);
  EXPECT_EQ(file.usable(), PageCount(1000));
  const uint64_t free_before = FreeBlocks();
  struct stat before{};
  ASSERT_EQ(fstat(file.descriptor(), &before), 0);
  EXPECT_EQ(file.Grow(PageCount(3000)), ENOSPC);
  EXPECT_EQ(file.usable(), PageCount(1000));
  EXPECT_EQ(FreeBlocks(), free_before);
  struct stat after{};
  ASSERT_EQ(fstat(file.descriptor(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_EQ(file.Grow(PageCount(1500)), 0);
  EXPECT_EQ(file.usable(), PageCount(1500));
}

// Where allocating means writing, a failure comes in the middle.
TEST_F(PageFileMountTest, GrowthByWritingThatDoesNotFitChangesNothing) {
  MountTmpfs("8M");
  const std::string result = InChild([&]() -> std::string {
    RefuseSystemCall(SYS_fallocate, EOPNOTSUPP);
    PageFile file;
    if (const Outcome outcome = Open(&file, point_); outcome.error != 0) return outcome.line;
    if (file.Grow(PageCount(1000)) != 0) return "what fits was not taken";
    struct stat status{};
    EXPECT_EQ(fstat(file.descriptor(), &status), 0);
    if (status.st_size != 1001 * kPageBytes) return "the larger extent that failed keeps space";
    const uint64_t free_before = FreeBlocks();
    if (file.Grow(PageCount(3000)) != ENOSPC) return "grown beyond the disk";
    if (FreeBlocks() != free_before) return "a failed growth keeps space";
    return file.usable() == PageCount(1000) ? "" : "a failed growth changed what is usable";
  });
  EXPECT_EQ(result, "");
}

class PageFileDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: a loop device needs root";
  }

  TempDirectory directory_;
};

TEST_F(PageFileDeviceTest, BlankDeviceIsTakenAndTakenAgain) {
  ASSERT_TRUE(MakeSparseFile(directory_ / "image", 8 * kMiB));
  LoopDevice device(directory_ / "image");
  if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
  for (unsigned i = 0; i < 2; ++i) {
    PageFile file;
    const Outcome outcome = Open(&file, device.path());
    ASSERT_EQ(outcome.error, 0) << outcome.line;
    EXPECT_EQ(file.max_usable().value(), 8 * kMiB / kPageBytes - 1);
    EXPECT_EQ(file.Grow(file.max_usable()), 0);
    EXPECT_EQ(file.usable(), file.max_usable());
    EXPECT_EQ(file.Grow(file.max_usable() + PageCount(1)), ENOSPC);
    PageFile second;
    const Outcome busy = Open(&second, device.path());
    EXPECT_EQ(busy.error, EBUSY);
    EXPECT_TRUE(Has(busy, "in use")) << busy.line;
  }
}

// Each call that taking a device makes, failed in turn: what is on the device stays as it was.
TEST_F(PageFileDeviceTest, DeviceThatCannotBeTakenIsLeftAsItWas) {
  const std::string image = directory_ / "image";
  for (const CallKind kind : {CallKind::kLook, CallKind::kReadFile, CallKind::kWriteFile}) {
    bool hit = true;
    // One after the other, then with growing gaps: a whole mebibyte is looked at.
    for (uint64_t n = 1; hit; n += n < 4 ? 1 : n) {
      SCOPED_TRACE(std::to_string(n) + " of kind " + std::to_string(static_cast<int>(kind)));
      ASSERT_TRUE(MakeSparseFile(image, 2 * kMiB));
      LoopDevice device(image);
      if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
      PageFile file;
      CallFaults::FailNth(kind, n, EIO);
      const Outcome outcome = Open(&file, device.path());
      hit = CallFaults::Stop();
      ASSERT_EQ(outcome.error, hit ? EIO : 0) << outcome.line;
      if (!hit) break;
      EXPECT_TRUE(Has(outcome, "EIO")) << outcome.line;
      ASSERT_EQ(fsync(device.descriptor()), 0);
      EXPECT_EQ(ContentOf(image), std::string(2 * kMiB, '\0'));
      unlink(image.c_str());
    }
    unlink(image.c_str());
  }
}

TEST_F(PageFileDeviceTest, DeviceThatDoesNotDiscardKeepsItsSpace) {
  ASSERT_TRUE(MakeSparseFile(directory_ / "image", 8 * kMiB));
  LoopDevice device(directory_ / "image");
  if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
  PageFile file;
  LogLine line;
  ASSERT_EQ(file.Open({device.path(), 8 * kMiB, true, true}, &line), 0) << line.text();
  EXPECT_FALSE(file.can_have_children()) << "there is no room beside a device";
  ASSERT_EQ(file.Grow(file.max_usable()), 0);
  CallFaults::FailNth(CallKind::kPunch, 1, EOPNOTSUPP);
  EXPECT_FALSE(file.GiveBackSpace(
      [](SlotMap& slots) { return slots.Discard(PageFile::kMostGivenBack); }));
  EXPECT_TRUE(CallFaults::Stop());
  EXPECT_FALSE(file.discards());
  EXPECT_EQ(file.usable(), file.max_usable());
}

TEST_F(PageFileDeviceTest, FreeSlotsAreDiscardedOfADevice) {
  const std::string image = directory_ / "image";
  ASSERT_TRUE(MakeSparseFile(image, 8 * kMiB));
  LoopDevice device(image);
  if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
  PageFile file;
  LogLine line;
  ASSERT_EQ(file.Open({device.path(), 8 * kMiB, false, true}, &line), 0) << line.text();
  ASSERT_EQ(file.Grow(file.max_usable()), 0);
  const std::string bytes(file.max_usable().value() * kPageBytes, 'x');
  ASSERT_EQ(pwrite(device.descriptor(), bytes.data(), bytes.size(), kPageBytes),
            static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(fsync(device.descriptor()), 0);
  struct stat before {};
  ASSERT_EQ(stat(image.c_str(), &before), 0);
  const auto all = [](SlotMap& slots) { return slots.Discard(PageFile::kMostGivenBack); };
  while (file.GiveBackSpace(all)) {
  }
  EXPECT_TRUE(file.discards()) << "this kernel's loop devices discard";
  EXPECT_GT(file.discarded().value(), 1900u);
  struct stat after {};
  ASSERT_EQ(stat(image.c_str(), &after), 0);
  EXPECT_LT(after.st_blocks, before.st_blocks / 4);
  EXPECT_EQ(file.Grow(file.max_usable()), 0);
  EXPECT_EQ(file.usable(), file.max_usable());
}

TEST_F(PageFileDeviceTest, DeviceWithSomethingOnItIsRefusedAndUnchanged) {
  // Where ext4, swap, md and btrfs have their first bytes.
  for (const uint64_t at : {uint64_t{1024}, uint64_t{4086}, uint64_t{4096}, uint64_t{65536 + 64}}) {
    const std::string image = directory_ / ("image" + std::to_string(at));
    ASSERT_TRUE(MakeSparseFile(image, 8 * kMiB));
    LoopDevice device(image);
    if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
    ASSERT_EQ(pwrite(device.descriptor(), "precious", 8, static_cast<off_t>(at)), 8);
    ASSERT_EQ(fsync(device.descriptor()), 0);
    const std::string before = ContentOf(image);
    PageFile file;
    const Outcome outcome = Open(&file, device.path());
    EXPECT_EQ(outcome.error, EEXIST) << "at " << at;
    EXPECT_TRUE(Has(outcome, ("dd if=/dev/zero of=" + device.path()).c_str())) << outcome.line;
    EXPECT_EQ(ContentOf(image), before);
  }
}

TEST_F(PageFileDeviceTest, DeviceThatIsTooSmallIsRefused) {
  ASSERT_TRUE(MakeSparseFile(directory_ / "image", kMiB / 2));
  LoopDevice device(directory_ / "image");
  if (!device.ok()) GTEST_SKIP() << "SKIPPED: no loop device to be had";
  PageFile file;
  const Outcome outcome = Open(&file, device.path());
  EXPECT_EQ(outcome.error, ENOSPC);
  EXPECT_TRUE(Has(outcome, "524288 bytes")) << outcome.line;
  EXPECT_EQ(ContentOf(directory_ / "image"), std::string(kMiB / 2, '\0'));
}

}  // namespace
}  // namespace userpager
