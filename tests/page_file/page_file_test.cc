// Opening, growing and refusing, in any process. What needs file systems of its own is in
// page_file_mount_test.cc.
#include "runtime/page_file/page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/system_call.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
constexpr uint64_t kFirstSlots = kMiB / kPageBytes - 1;  // usable after Open

struct Outcome {
  Errno error;
  std::string line;
};

Outcome Open(PageFile* file, const std::string& path, uint64_t max_bytes = 256 * kMiB) {
  LogLine line;
  const Errno error = file->Open({path, max_bytes}, &line);
  return {error, std::string(line.text())};
}

// Expects that the path is refused with a line that has all of the words.
void ExpectRefused(const std::string& path, Errno error, const std::vector<std::string>& words,
                   uint64_t max_bytes = 256 * kMiB) {
  PageFile file;
  const Outcome outcome = Open(&file, path, max_bytes);
  EXPECT_EQ(outcome.error, error) << outcome.line;
  for (const std::string& word : words) {
    EXPECT_NE(outcome.line.find(word), std::string::npos) << word << " is not in: " << outcome.line;
  }
  EXPECT_LT(file.descriptor(), 0);
}

struct stat StatusOf(int descriptor) {
  struct stat status{};
  EXPECT_EQ(fstat(descriptor, &status), 0);
  return status;
}

// The page file's own file can be written and read back in all of its usable slots' first and last.
void ExpectUsable(const PageFile& file) {
  alignas(kPageBytes) char out[kPageBytes];
  alignas(kPageBytes) char in[kPageBytes];
  for (const uint64_t slot : {uint64_t{1}, file.usable().value()}) {
    memset(out, static_cast<int>(slot % 251) + 1, sizeof out);
    const auto offset = static_cast<off_t>(file.OffsetOf(SlotIndex(uint32_t(slot))));
    ASSERT_EQ(pwrite(file.descriptor(), out, sizeof out, offset), ssize_t{sizeof out});
    ASSERT_EQ(pread(file.descriptor(), in, sizeof in, offset), ssize_t{sizeof in});
    EXPECT_EQ(memcmp(in, out, sizeof in), 0);
  }
}

TEST(PageFile, DirectoryGivesAnUnnamedPrivateFile) {
  TempDirectory directory;
  PageFile file;
  const Outcome outcome = Open(&file, directory.path());
  ASSERT_EQ(outcome.error, 0) << outcome.line;
  EXPECT_EQ(directory.entries(), 0u);
  const struct stat status = StatusOf(file.descriptor());
  EXPECT_EQ(status.st_nlink, 0u);
  EXPECT_EQ(status.st_mode & 07777, mode_t{0600});
  EXPECT_EQ((fcntl(file.descriptor(), F_GETFL) & O_DIRECT) != 0, file.direct());
  EXPECT_NE(fcntl(file.descriptor(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(file.usable().value(), kFirstSlots);
  EXPECT_EQ(file.max_usable().value(), 256 * kMiB / kPageBytes - 1);
  ExpectUsable(file);
}

TEST(PageFile, NamedFileIsTakenAndTakenAgain) {
  TempDirectory directory;
  const std::string path = directory / "pages";
  WriteFile(path, "");
  for (unsigned i = 0; i < 2; ++i) {
    PageFile file;
    const Outcome outcome = Open(&file, path);
    ASSERT_EQ(outcome.error, 0) << outcome.line;
    EXPECT_EQ(StatusOf(file.descriptor()).st_mode & 07777, mode_t{0600});
    EXPECT_EQ(file.usable().value(), kFirstSlots);
    ASSERT_EQ(file.Grow(PageCount(1000)), 0);
    ExpectUsable(file);
  }
  EXPECT_EQ(ContentOf(path).substr(0, 20), "userpager page file\n");
}

TEST(PageFile, EmptyFileIsTakenAndMadePrivate) {
  TempDirectory directory;
  const std::string path = directory / "empty";
  WriteFile(path, "");
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  PageFile file;
  ASSERT_EQ(Open(&file, path).error, 0);
  EXPECT_EQ(StatusOf(file.descriptor()).st_mode & 07777, mode_t{0600});
}

TEST(PageFile, ForeignFileIsRefusedAndUnchanged) {
  TempDirectory directory;
  const std::string path = directory / "mine";
  const std::string magic = std::string("userpager page file\n") + std::string(4, '\0');
  const std::vector<std::string> contents = {
      "a letter", std::string(kPageBytes, '\0'), std::string(2 * kMiB, 'x'),
      "userpager page file\n", magic + "\x01" + std::string(7, '\0') + "and more"};
  for (const std::string& content : contents) {
    WriteFile(path, content);
    ASSERT_EQ(chmod(path.c_str(), 0640), 0);
    ExpectRefused(path, EEXIST, {path});
    EXPECT_EQ(ContentOf(path), content);
    struct stat status;
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode_t{0640});
  }
}

TEST(PageFile, OtherVersionIsRefused) {
  TempDirectory directory;
  const std::string path = directory / "pages";
  WriteFile(path, "");
  { PageFile file; ASSERT_EQ(Open(&file, path).error, 0); }
  std::string content = ContentOf(path);
  content[24] = 77;
  WriteFile(path, content);
  ExpectRefused(path, EEXIST, {path, "another version"});
  EXPECT_EQ(ContentOf(path), content);
}

TEST(PageFile, FileInUseIsRefused) {
  TempDirectory directory;
  const std::string path = directory / "pages";
  WriteFile(path, "");
  PageFile first;
  ASSERT_EQ(Open(&first, path).error, 0);
  const std::string other = InChild([&] {
    PageFile second;
    const Outcome outcome = Open(&second, path);
    return outcome.error == EBUSY ? "" : "opened: " + outcome.line;
  });
  EXPECT_EQ(other, "");
  ExpectRefused(path, EBUSY, {path, "in use by another process"});
  ExpectUsable(first);
}

// A mistyped directory would otherwise become a file that fills the disk.
TEST(PageFile, MissingNameIsRefusedAndNotMade) {
  TempDirectory directory;
  const std::vector<std::string> words = {"does not exist", "make the directory", "an empty file"};
  ExpectRefused(directory / "pages", ENOENT, words);
  EXPECT_EQ(directory.entries(), 0u);
  // Nor is it made by way of a link that leads nowhere.
  ASSERT_EQ(symlink((directory / "pages").c_str(), (directory / "link").c_str()), 0);
  ExpectRefused(directory / "link", ENOENT, words);
  EXPECT_EQ(directory.entries(), 1u) << "only the link is there";
}

TEST(PageFile, PlacesThatCannotBeAreRefused) {
  TempDirectory directory;
  WriteFile(directory / "file", "");
  ASSERT_EQ(mkfifo((directory / "fifo").c_str(), 0600), 0);
  ExpectRefused(directory / "no/such/place", ENOENT, {"no/such/place", "does not exist"});
  ExpectRefused(directory / "file/below", ENOTDIR, {"file/below", "does not exist"});
  ExpectRefused(directory / "fifo", EINVAL, {"fifo", "neither"});
  ExpectRefused("/dev/null", EINVAL, {"/dev/null", "neither"});
  ExpectRefused("", EINVAL, {"no path"});
  ExpectRefused(directory / std::string(5000, 'x'), ENAMETOOLONG, {"ENAMETOOLONG"});
  EXPECT_EQ(directory.entries(), 2u);
}

TEST(PageFile, MaximumOutsideItsBoundsIsRefused) {
  TempDirectory directory;
  const std::string path = directory / "pages";
  WriteFile(path, "");
  ExpectRefused(path, EINVAL, {"too small", "page_file_max"}, kMiB - 1);
  ExpectRefused(path, EINVAL, {"too large", "page_file_max"}, PageFile::kLargestBytes + 1);
  EXPECT_EQ(ContentOf(path), "");
}

TEST(PageFile, PlaceWithoutPermissionIsRefused) {
  TempDirectory directory;
  WriteFile(directory / "file", "");
  ASSERT_EQ(chmod((directory / "file").c_str(), 0), 0);
  ASSERT_EQ(mkdir((directory / "closed").c_str(), 0), 0);
  ASSERT_EQ(chmod(directory.path().c_str(), 0555), 0);
  const std::string result = InChild([&]() -> std::string {
    if (geteuid() == 0 && seteuid(65534) != 0) return "the rights of root cannot be dropped";
    for (const std::string& path :
         {directory.path(), directory / "file", directory / "closed/file"}) {
      PageFile file;
      const Outcome outcome = Open(&file, path);
      if (outcome.error != EACCES || outcome.line.find("no permission") == std::string::npos) {
        return path + ": " + outcome.line;
      }
    }
    return "";
  });
  EXPECT_EQ(result, "");
  EXPECT_EQ(chmod(directory.path().c_str(), 0755), 0);
}

TEST(PageFile, GrowsInExtentsThatAreReallyAllocated) {
  TempDirectory directory;
  PageFile file;
  ASSERT_EQ(Open(&file, directory.path()).error, 0);
  EXPECT_EQ(file.Grow(PageCount(kFirstSlots)), 0);
  EXPECT_EQ(file.usable().value(), kFirstSlots) << "there was enough";
  ASSERT_EQ(file.Grow(PageCount(kFirstSlots + 1)), 0);
  EXPECT_EQ(file.usable().value(), kFirstSlots + 64 * kMiB / kPageBytes);
  ASSERT_EQ(file.Grow(PageCount(40'000)), 0);
  EXPECT_GE(file.usable().value(), 40'000u);
  const struct stat status = StatusOf(file.descriptor());
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, BytesOf(file.usable()));
  ExpectUsable(file);
  EXPECT_EQ(file.Grow(file.max_usable()), 0);
  EXPECT_EQ(file.usable(), file.max_usable());
  EXPECT_EQ(file.Grow(file.max_usable() + PageCount(1)), ENOSPC);
  EXPECT_EQ(file.Grow(PageCount(uint64_t{1} << 60)), ENOSPC);
  EXPECT_EQ(file.usable(), file.max_usable());
}

TEST(PageFile, RetiredSlotsAreMadeUpForByGrowth) {
  TempDirectory directory;
  PageFile file;
  ASSERT_EQ(Open(&file, directory.path(), 2 * kMiB).error, 0);
  const SlotRun run = file.AllocateRun(PageCount(10));
  ASSERT_EQ(run.count, PageCount(10));
  for (uint64_t i = 0; i < 10; ++i) file.Retire(run.first + PageCount(i));
  EXPECT_EQ(file.usable().value(), kFirstSlots - 10);
  EXPECT_EQ(file.max_usable().value(), 2 * kMiB / kPageBytes - 1 - 10);
  ASSERT_EQ(file.Grow(PageCount(kFirstSlots)), 0);
  EXPECT_EQ(file.usable(), file.max_usable());
  EXPECT_EQ(file.Grow(file.max_usable() + PageCount(1)), ENOSPC);
}

TEST(PageFile, KeepsAChecksumForEachSlot) {
  TempDirectory directory;
  PageFile file;
  ASSERT_EQ(Open(&file, directory.path(), 2 * kMiB).error, 0);
  ASSERT_EQ(file.Grow(file.max_usable()), 0);
  const auto last = static_cast<uint32_t>(file.max_usable().value());
  for (uint32_t slot = 1; slot <= last; ++slot) file.set_checksum(SlotIndex(slot), slot * 7919);
  for (uint32_t slot = 1; slot <= last; ++slot) {
    ASSERT_EQ(file.checksum(SlotIndex(slot)), slot * 7919);
  }
}

TEST(PageFile, ThreadsGrowItTogether) {
  TempDirectory directory;
  PageFile file;
  ASSERT_EQ(Open(&file, directory.path(), 64 * kMiB).error, 0);
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < 4; ++id) {
    threads.emplace_back([&file, id] {
      for (uint64_t slots = 100 + id; slots < 16'000; slots += 500) {
        EXPECT_EQ(file.Grow(PageCount(slots)), 0);
        EXPECT_GE(file.usable().value(), slots);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(file.usable(), file.max_usable());
}

// A limit of file sizes kills a program that runs into it unprepared (SIGXFSZ).
TEST(PageFile, FileSizeLimitStopsGrowthAndNotTheProgram) {
  TempDirectory directory;
  const std::string named = directory / "named";
  WriteFile(named, "");
  const std::string result = InChild([&]() -> std::string {
    const rlimit limit = {8 * kMiB, 8 * kMiB};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit can be set";
    PageFile file;
    if (const Outcome outcome = Open(&file, directory.path()); outcome.error != 0) {
      return outcome.line;
    }
    if (file.Grow(PageCount(1000)) != 0) return "an extent that fits was not taken";
    if (file.usable() != PageCount(1000)) return "not the smaller extent";
    if (file.Grow(PageCount(3000)) != ENOSPC) return "grown beyond the limit";
    if (file.usable() != PageCount(1000)) return "a failed growth changed something";
    const rlimit none = {1000, 8 * kMiB};
    if (setrlimit(RLIMIT_FSIZE, &none) != 0) return "no limit can be set";
    PageFile other;
    const Outcome outcome = Open(&other, named);
    return outcome.error == ENOSPC ? "" : "opened: " + outcome.line;
  });
  EXPECT_EQ(result, "");
  EXPECT_EQ(ContentOf(named), "");
  EXPECT_EQ(directory.entries(), 1u) << "only the named file is left";
}

// What a system call refuses here, some file system refuses somewhere.
struct Refusal {
  const char* name;
  long number;
  int error;
  unsigned argument;
  uint32_t mask;
  bool direct;  // whether direct I/O is left
};

class PageFileRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(PageFileRefusalTest, IsMadeUpFor) {
  TempDirectory directory;
  WriteFile(directory / "named", "");
  bool direct_here = false;
  {
    PageFile file;
    ASSERT_EQ(Open(&file, directory.path()).error, 0);
    direct_here = file.direct();
  }
  const Refusal& refusal = GetParam();
  const std::string result = InChild([&]() -> std::string {
    RefuseSystemCall(refusal.number, refusal.error, refusal.argument, refusal.mask);
    for (const std::string& path : {directory.path(), directory / "named"}) {
      PageFile file;
      const Outcome outcome = Open(&file, path, 4 * kMiB);
      if (outcome.error != 0) return outcome.line;
      if (file.direct() != (direct_here && refusal.direct)) return "direct I/O is not as expected";
      if (file.Grow(file.max_usable()) != 0) return "cannot grow";
      const struct stat status = StatusOf(file.descriptor());
      if (static_cast<uint64_t>(status.st_blocks) * 512 < BytesOf(file.usable())) {
        return "the space is not allocated";
      }
    }
    return testing::Test::HasFailure() ? "failed" : "";
  });
  EXPECT_EQ(result, "");
  EXPECT_EQ(directory.entries(), 1u) << "only the named file is left";
}

// Each call that taking a named file makes, failed in turn, with a file that is empty and with one
// that is a page file already: the start is refused in a line, and what was there stays there.
TEST(PageFileFailures, ANamedFileThatCannotBeTakenIsLeftAsItWas) {
  TempDirectory directory;
  const std::string path = directory / "pages";
  WriteFile(path, "");
  const PageFileOptions options{path, 4 * kMiB, true};
  for (const bool had_header : {false, true}) {
    for (const CallKind kind : {CallKind::kLook, CallKind::kReadFile, CallKind::kTruncate,
                                CallKind::kWriteFile, CallKind::kGrow}) {
      bool hit = true;
      for (uint64_t n = 1; hit; ++n) {
        SCOPED_TRACE(std::to_string(n) + " of kind " + std::to_string(static_cast<int>(kind)));
        PageFile file;
        LogLine line;
        CallFaults::FailNth(kind, n, EIO);
        const Errno error = file.Open(options, &line);
        hit = CallFaults::Stop();
        ASSERT_EQ(error, hit ? EIO : 0) << line.text();
        if (!hit) continue;
        EXPECT_NE(line.text().find("EIO"), std::string::npos) << line.text();
        EXPECT_EQ(ContentOf(path).substr(0, 20), had_header ? "userpager page file\n" : "");
      }
      if (!had_header) WriteFile(path, "");
    }
    PageFile file;
    ASSERT_EQ(Open(&file, path).error, 0) << "as a page file, for the second round";
  }
}

// Some file systems have direct I/O, but not in pages of 4 KiB, which the first write shows.
TEST(PageFileFailures, WithoutDirectPagesTheFileIsNotDirect) {
  TempDirectory directory;
  PageFile file;
  CallFaults::FailNth(CallKind::kWriteFile, 1, EINVAL);
  const Outcome outcome = Open(&file, directory.path());
  ASSERT_TRUE(CallFaults::Stop());
  if (outcome.error == EINVAL) GTEST_SKIP() << "no direct I/O there anyway";
  ASSERT_EQ(outcome.error, 0) << outcome.line;
  EXPECT_FALSE(file.direct());
  EXPECT_EQ(fcntl(file.descriptor(), F_GETFL) & O_DIRECT, 0);
  ExpectUsable(file);
}

TEST(PageFileFailures, AQuotaThatIsUsedUpIsNoRoom) {
  TempDirectory directory;
  PageFile file;
  // A signal in the middle is nothing: the call is made again.
  CallFaults::FailNth(CallKind::kGrow, 1, EINTR);
  ASSERT_EQ(Open(&file, directory.path()).error, 0);
  EXPECT_TRUE(CallFaults::Stop());
  for (const int error : {EDQUOT, EFBIG}) {
    CallFaults::FailNth(CallKind::kGrow, 1, error);
    // What is asked for is more than an extent, so that no smaller one is tried.
    EXPECT_EQ(file.Grow(PageCount(30'000)), ENOSPC);
    EXPECT_TRUE(CallFaults::Stop());
    EXPECT_EQ(file.usable().value(), kFirstSlots);
  }
}

// Where a file system has no unnamed files, a named one is made for a moment.
TEST(PageFileFailures, TheNamedFileForAMomentCannotBeMadeEither) {
  TempDirectory directory;
  for (const int error : {EACCES, EPERM, EEXIST}) {
    const std::string result = InChild([&]() -> std::string {
      RefuseSystemCall(SYS_openat, EISDIR, 2, O_TMPFILE);
      RefuseSystemCall(SYS_openat, error, 2, O_CREAT);
      PageFile file;
      const Outcome outcome = Open(&file, directory.path());
      if (outcome.error != error) return outcome.line;
      const char* const words = error == EEXIST ? "EEXIST" : "no permission";
      return outcome.line.find(words) == std::string::npos ? outcome.line : "";
    });
    EXPECT_EQ(result, "");
  }
  // With the name it is longer than what a path is put together in.
  std::string deep = directory.path();
  while (deep.size() < LogLine::kCapacity) {
    deep += "/" + std::string(200, 'd');
    ASSERT_EQ(mkdir(deep.c_str(), 0755), 0);
  }
  const std::string result = InChild([&]() -> std::string {
    RefuseSystemCall(SYS_openat, EISDIR, 2, O_TMPFILE);
    PageFile file;
    return Open(&file, deep).error == ENAMETOOLONG ? "" : "a name that was cut";
  });
  EXPECT_EQ(result, "");
}

// Without direct I/O what was written is in the page cache, and a full disk may show only later.
TEST(PageFileFailures, ZerosThatDoNotReachTheDiskAreNoRoom) {
  TempDirectory directory;
  const std::string result = InChild([&]() -> std::string {
    RefuseSystemCall(SYS_openat, EINVAL, 2, O_DIRECT);
    RefuseSystemCall(SYS_fallocate, EOPNOTSUPP);
    PageFile file;
    if (const Outcome outcome = Open(&file, directory.path()); outcome.error != 0) {
      return outcome.line;
    }
    RefuseSystemCall(SYS_fdatasync, EIO);
    if (file.Grow(PageCount(1000)) != EIO) return "grown";
    return file.usable().value() == kFirstSlots ? "" : "a failed growth changed something";
  });
  EXPECT_EQ(result, "");
}

// A child's own file is beside its parent's, wherever that is named from.
TEST(PageFileInChild, ANamedFileHasRoomForChildrenBesideIt) {
  TempDirectory directory;
  WriteFile(directory / "pages", "");
  const std::string result = InChild([&]() -> std::string {
    if (chdir(directory.path().c_str()) != 0) return "no such directory";
    for (const std::string& path : {directory / "pages", std::string("pages")}) {
      PageFile file;
      LogLine line;
      if (file.Open({path, 4 * kMiB, true}, &line) != 0) return line.c_str();
      if (!file.can_have_children()) return "no child can have a file beside " + path;
      const SlotRun run = file.AllocateRun(PageCount(3));
      SlotLoan loan;
      if (file.Lend(&loan) != 0 || loan.held < 0) return "nothing was lent";
      // From here on as in the child.
      file.BorrowInChild(loan);
      if (file.OpenInChild(&line) != 0) return line.c_str();
      const SlotRun own = file.AllocateRun(PageCount(1));
      if (own.count == PageCount(1)) return "its file has room that nobody asked for";
      if (file.Grow(PageCount(10)) != 0) return "no room beside " + path;
      if (file.DescriptorOf(run.first) == file.descriptor()) return "it reads its own file";
      // The last of its parent's slots that it gives up, broken, lets go of the file.
      file.Free(run.first, PageCount(2));
      if (fcntl(loan.held, F_GETFD) < 0) return "let go too early";
      file.Retire(run.first + PageCount(2));
      if (fcntl(loan.held, F_GETFD) >= 0) return "its parent's file is kept";
    }
    return "";
  });
  EXPECT_EQ(result, "");
  EXPECT_EQ(directory.entries(), 1u) << "a child's file has no name";
  // Without a descriptor for the directory there is no room beside it.
  PageFile file;
  LogLine line;
  CallFaults::FailNth(CallKind::kOpen, 2, EMFILE);
  ASSERT_EQ(file.Open({directory / "pages", 4 * kMiB, true}, &line), 0) << line.text();
  EXPECT_TRUE(CallFaults::Stop());
  EXPECT_FALSE(file.can_have_children());
}

INSTANTIATE_TEST_SUITE_P(
    FileSystems, PageFileRefusalTest,
    testing::Values(Refusal{"Unnamed", SYS_openat, EOPNOTSUPP, 2, O_TMPFILE, true},
                    Refusal{"Direct", SYS_openat, EINVAL, 2, O_DIRECT, false},
                    Refusal{"Allocation", SYS_fallocate, EOPNOTSUPP, 1, 0, true}),
    [](const auto& refusal) { return refusal.param.name; });

}  // namespace
}  // namespace userpager
