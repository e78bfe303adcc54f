#include "runtime/platform/published_page.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/sync_point.h"
#include "runtime/platform/process_stat.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kBytes = 3 * kPageBytes;

std::vector<std::filesystem::path> Announcements(pid_t process) {
  std::vector<std::filesystem::path> found;
  const std::string prefix = PublishedPage::kNamePrefix + std::to_string(process) + "-";
  for (const auto& entry : std::filesystem::directory_iterator(PublishedPage::kDirectory)) {
    if (entry.path().filename().string().compare(0, prefix.size(), prefix) == 0) {
      found.push_back(entry.path());
    }
  }
  return found;
}

std::unique_ptr<PublishedPage> Announced() {
  auto page = std::make_unique<PublishedPage>();
  LogLine error;
  EXPECT_TRUE(page->Make(kBytes, true, &error)) << error.text();
  EXPECT_TRUE(page->can_be_announced()) << error.text();
  EXPECT_EQ(0, page->Announce(&error)) << error.text();
  return page;
}

Announcement Read(const std::filesystem::path& path) {
  Announcement read;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(static_cast<ssize_t>(sizeof read), pread(file, &read, sizeof read, 0));
  close(file);
  return read;
}

std::string PageOfProcess(const Announcement& announcement) {
  return "/proc/" + std::to_string(announcement.process) + "/fd/" +
         std::to_string(announcement.page_descriptor);
}

TEST(PublishedPageTest, OthersCanReadButNotHarmIt) {
  const auto page = Announced();
  const auto files = Announcements(getpid());
  ASSERT_EQ(1u, files.size());
  const Announcement announcement = Read(files[0]);
  EXPECT_TRUE(announcement.IsReadable());
  ProcessStat stat;
  ASSERT_EQ(0, ReadProcessStat(getpid(), &stat));
  EXPECT_EQ(stat.start_ticks, announcement.start_ticks);
  auto* own = static_cast<volatile char*>(page->memory());
  own[kBytes - 1] = 7;
  const int file = open(PageOfProcess(announcement).c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  struct stat status {};
  ASSERT_EQ(0, fstat(file, &status));
  EXPECT_EQ(0600u, status.st_mode & 0777);
  EXPECT_EQ(announcement.page_inode, status.st_ino);
  EXPECT_EQ(-1, ftruncate(file, 0));
  EXPECT_EQ(-1, pwrite(file, "x", 1, 0));
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  void* seen = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(MAP_FAILED, seen);
  EXPECT_EQ(7, static_cast<char*>(seen)[kBytes - 1]);
  own[kBytes - 1] = 8;
  EXPECT_EQ(8, static_cast<volatile char*>(seen)[kBytes - 1]);
  munmap(seen, kBytes);
  close(file);
}

TEST(PublishedPageTest, GoesWhenItIsWithdrawn) {
  auto page = Announced();
  ASSERT_EQ(1u, Announcements(getpid()).size());
  page->Withdraw();
  EXPECT_TRUE(Announcements(getpid()).empty());
  page->Withdraw();
  page.reset();
  EXPECT_TRUE(Announcements(getpid()).empty());
}

// A process may end as soon as its announcement can be seen, by another thread than announces it.
TEST(PublishedPageTest, GoesWhenItIsWithdrawnWhileItIsAnnounced) {
  PublishedPage page;
  LogLine error;
  ASSERT_TRUE(page.Make(kBytes, true, &error)) << error.text();
  for (const char* const point : {"published:to_be_linked", "published:linked"}) {
    unsigned withdrawn = 0;
    SyncPoints::Set(point, [&](uint64_t) {
      page.Withdraw();
      ++withdrawn;
    });
    EXPECT_EQ(0, page.Announce(&error)) << error.text();
    SyncPoints::ClearAll();
    EXPECT_EQ(withdrawn, 1u) << point;
    EXPECT_TRUE(Announcements(getpid()).empty()) << point;
  }
}

TEST(PublishedPageTest, AForkedChildHasNothingOfIt) {
  const auto page = Announced();
  static_cast<volatile char*>(page->memory())[0] = 7;
  EXPECT_EQ("", InChild([&]() -> std::string {
    page->Withdraw();
    if (Announcements(getppid()).size() != 1) return "the child has removed its parent's file";
    page->ForgetInChild();
    auto* own = static_cast<volatile char*>(page->memory());
    if (own[0] != 0) return "the child has the parent's page";
    own[0] = 9;
    return "";
  }));
  EXPECT_EQ(7, static_cast<volatile char*>(page->memory())[0]);
}

TEST(PublishedPageTest, StaleAnnouncementsAreRemovedAndNoOthers) {
  const auto page = Announced();
  const auto own = Announcements(getpid());
  // A process that ends without a word.
  const pid_t child = fork();
  if (child == 0) {
    const auto childs = Announced();
    _exit(Announcements(getpid()).size() == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  ASSERT_EQ(0, status);
  const std::string directory = std::string(PublishedPage::kDirectory) + "/";
  const std::string foreign = directory + "userpager-" + std::to_string(child) + "-notes";
  const std::string letter = directory + "userpager-" + std::to_string(child) + "-letter";
  const std::string nameless[] = {directory + "userpager-x" + std::to_string(child),
                                  directory + "userpager-" + std::to_string(child)};
  close(open(foreign.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  WriteFile(letter, "no announcement, but longer than the head of one");
  for (const std::string& path : nameless) WriteFile(path, "");
  for (const auto thoroughness :
       {PublishedPage::Thoroughness::kSparingly, PublishedPage::Thoroughness::kAll}) {
    PublishedPage::RemoveStale(PublishedPage::kDirectory, thoroughness);
    const std::vector<std::filesystem::path> left = Announcements(child);
    EXPECT_EQ(std::set<std::filesystem::path>({foreign, letter}),
              std::set<std::filesystem::path>(left.begin(), left.end()));
    for (const std::string& path : nameless) EXPECT_TRUE(std::filesystem::exists(path)) << path;
    EXPECT_EQ(own, Announcements(getpid()));
  }
  for (const std::string& path : {foreign, letter, nameless[0], nameless[1]}) unlink(path.c_str());
}

// Where it is for nobody else, or the kernel has no memory file for it, it is plain memory.
TEST(PublishedPageTest, PlainMemoryIsForNobodyElse) {
  PublishedPage own;
  LogLine line;
  ASSERT_TRUE(own.Make(kBytes, false, &line));
  EXPECT_FALSE(own.can_be_announced());
  static_cast<volatile char*>(own.memory())[kBytes - 1] = 7;
  EXPECT_EQ("", std::string(line.text()));
  EXPECT_EQ("", InChild([]() -> std::string {
    for (const long call : {long{SYS_memfd_create}, long{SYS_ftruncate}}) {
      RefuseSystemCall(call, EMFILE);
      PublishedPage page;
      LogLine why;
      if (!page.Make(kBytes, true, &why)) return "no memory at all";
      if (page.can_be_announced()) return "it is said to be for others";
      if (why.text().find("EMFILE") == std::string_view::npos) return why.c_str();
      static_cast<volatile char*>(page.memory())[kBytes - 1] = 7;
    }
    return "";
  }));
}

// The directory that it is for first is not there for this process; the other is, or is not.
TEST(PublishedPageTest, IsAnnouncedElsewhereOrALineSaysWhyNot) {
  const TempDirectory directory;
  const auto announce = [](const char* other, LogLine* error) {
    other == nullptr ? unsetenv("XDG_RUNTIME_DIR") : setenv("XDG_RUNTIME_DIR", other, 1);
    PublishedPage page;
    LogLine why;
    return page.Make(kBytes, true, &why) ? page.Announce(error) : Errno{-1};
  };
  EXPECT_EQ("", InChild([&]() -> std::string {
    // What it would be locked by.
    RefuseSystemCall(SYS_flock, ENOLCK);
    for (const char* other : {static_cast<const char*>(nullptr), "", directory.path().c_str()}) {
      LogLine error;
      if (announce(other, &error) != ENOLCK) return "it is announced";
      if (error.text().find("ENOLCK") == std::string_view::npos) return error.c_str();
      const bool names_none = error.text().find("names no other") != std::string_view::npos;
      if (names_none != (other == nullptr)) return error.c_str();
    }
    return "";
  }));
  for (const long call : {long{SYS_linkat}, long{SYS_fchmod}}) {
    EXPECT_EQ("", InChild([&]() -> std::string {
      PublishedPage page;
      LogLine error;
      if (!page.Make(kBytes, true, &error)) return "no memory";
      RefuseSystemCall(call, EPERM);
      if (page.Announce(&error) != EPERM) return "it is announced";
      return Announcements(getpid()).empty() ? "" : "something is left";
    }));
  }
  EXPECT_EQ(0u, directory.entries());
}

TEST(PublishedPageTest, RequestsAreReadAsTheyAre) {
  const auto page = Announced();
  const auto path = Announcements(getpid()).at(0);
  Announcement found;
  ASSERT_TRUE(page->ReadAnnouncement(&found));
  EXPECT_EQ(0u, found.limit_request);
  Announcement changed = found;
  changed.limit_request = 5;
  changed.limit_bytes = 12345;
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(static_cast<ssize_t>(sizeof changed), pwrite(file, &changed, sizeof changed, 0));
  ASSERT_TRUE(page->ReadAnnouncement(&found));
  EXPECT_EQ(5u, found.limit_request);
  EXPECT_EQ(12345u, found.limit_bytes);
  // Cut short, damaged, replaced, removed: no request.
  ASSERT_EQ(0, ftruncate(file, 8));
  EXPECT_FALSE(page->ReadAnnouncement(&found));
  changed.magic = 1;
  ASSERT_EQ(static_cast<ssize_t>(sizeof changed), pwrite(file, &changed, sizeof changed, 0));
  EXPECT_FALSE(page->ReadAnnouncement(&found));
  close(file);
  std::filesystem::remove(path);
  EXPECT_FALSE(page->ReadAnnouncement(&found));
  std::filesystem::create_symlink("/etc/passwd", path);
  EXPECT_FALSE(page->ReadAnnouncement(&found));
}

TEST(PublishedPageTest, AMappingForReadingIsEnoughToWake) {
  const auto page = Announced();
  auto& word = *static_cast<std::atomic<uint32_t>*>(page->memory());
  const int file =
      open(PageOfProcess(Read(Announcements(getpid()).at(0))).c_str(), O_RDONLY | O_CLOEXEC);
  void* seen = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(MAP_FAILED, seen);
  close(file);
  std::atomic<bool> woken{false};
  std::thread sleeper([&] {
    PublishedPage::AwaitWake(word, -1);
    woken = true;
  });
  while (!woken) {
    PublishedPage::Wake(*static_cast<const std::atomic<uint32_t>*>(seen));
    std::this_thread::yield();
  }
  sleeper.join();
  munmap(seen, kBytes);
  // Nobody wakes it, and it ends all the same.
  PublishedPage::AwaitWake(word, 1);
}

TEST(ProcessStatTest, TellsWhoIsThere) {
  ProcessStat stat;
  EXPECT_EQ(0, ReadProcessStat(getpid(), &stat));
  EXPECT_EQ('R', stat.state);
  EXPECT_NE(0u, stat.start_ticks);
  EXPECT_NE(0, ReadProcessStat(1'999'999'999, &stat));
}

}  // namespace
}  // namespace userpager
