// A page file whose place is full, for real: a small file system on a loop device that somebody
// else fills up, and a limit of file sizes. New commitments fail with the documented error; what
// was promised before goes on being written and read.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/child_process.h"
#include "tests/support/loop_device.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kRoomBytes = 3 * kMiB;
constexpr uint64_t kPieceBytes = kMiB / 4;
constexpr uint64_t kPiecePages = kPieceBytes / stress::kPageBytes;
constexpr uint64_t kMemoryBytes = kMiB / 2;

std::string Start(const std::string& place) {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = kMemoryBytes;
  options.page_file_max_bytes = 10 * kRoomBytes;
  strncpy(options.page_file, place.c_str(), sizeof options.page_file - 1);
  return userpager_start(&options) == 0 ? "" : userpager_error_message();
}

// Memory that is committed piece by piece until no more is to be had.
class Pieces {
 public:
  // "" where the end came with the documented error.
  std::string TakeAll() {
    for (;;) {
      void* piece =
          VirtualAlloc(nullptr, kPieceBytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
      if (piece == nullptr) break;
      pieces_.push_back(static_cast<uint64_t*>(piece));
      if (pieces_.size() * kPieceBytes > 10 * kRoomBytes) return "more was promised than is there";
    }
    const DWORD error = GetLastError();
    return error == ERROR_COMMITMENT_LIMIT ? "" : "the error is " + std::to_string(error);
  }
  void Fill(uint32_t generation) {
    for (size_t i = 0; i < pieces_.size() * kPiecePages; ++i) {
      stress::FillPage(WordsOf(i), i, generation);
    }
  }
  std::string Check(uint32_t generation) const {
    for (size_t i = 0; i < pieces_.size() * kPiecePages; ++i) {
      if (stress::FirstWrongWord(WordsOf(i), i, generation) != stress::kWordsInPage) {
        return "page " + std::to_string(i) + " is wrong";
      }
    }
    return "";
  }
  bool DropLast() {
    void* last = pieces_.back();
    pieces_.pop_back();
    return VirtualFree(last, 0, MEM_RELEASE);
  }
  size_t count() const { return pieces_.size(); }

 private:
  uint64_t* WordsOf(size_t page) const {
    return pieces_[page / kPiecePages] + page % kPiecePages * stress::kWordsInPage;
  }
  std::vector<uint64_t*> pieces_;
};

// Takes what is left of the disk.
void FillDisk(const std::string& file) {
  const int filler = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::vector<char> data(64 * 1024, 'x');
  ssize_t put;
  do {
    put = write(filler, data.data(), data.size());
  } while (put > 0);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(fsync(filler), 0);
  close(filler);
}

// Everything, with what others do about the room in between.
std::string UseUp(const std::string& place, auto fill, auto empty) {
  if (const std::string problem = Start(place); !problem.empty()) return problem;
  Pieces pieces;
  if (const std::string problem = pieces.TakeAll(); !problem.empty()) return problem;
  const size_t all = pieces.count();
  if (all * kPieceBytes < kRoomBytes / 2) return "only " + std::to_string(all) + " pieces fitted";
  fill();
  for (uint32_t generation = 0; generation < 2; ++generation) {
    pieces.Fill(generation);
    if (const std::string problem = pieces.Check(generation); !problem.empty()) return problem;
  }
  if (const std::string problem = pieces.TakeAll(); !problem.empty()) return problem;
  if (pieces.count() != all) return "more is promised with a full disk";
  if (!pieces.DropLast()) return "what was promised cannot be given back";
  if (const std::string problem = pieces.TakeAll(); !problem.empty()) return problem;
  if (pieces.count() != all) return "what was given back is not promised again";
  empty();
  if (const std::string problem = pieces.TakeAll(); !problem.empty()) return problem;
  if (pieces.count() <= all) return "the room that is there again is not promised";
  pieces.Fill(2);
  if (const std::string problem = pieces.Check(2); !problem.empty()) return problem;
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  if (userpager_get_stats(&stats) != 0) return userpager_error_message();
  if (stats.file_write_errors != 0 || stats.lost_pages != 0) return "writes have failed";
  return stats.pages_out > all * kPiecePages ? "" : "little was written";
}

TEST(FullDiskTest, SmallFileSystem) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: mounting a file system needs root";
  const std::string problem = InChild([]() -> std::string {
    if (const std::string refused = EnterOwnMounts(); !refused.empty()) return refused;
    TempDirectory directory;
    const std::string image = directory / "image";
    const std::string point = directory / "mount";
    if (!MakeSparseFile(image, 3 * kRoomBytes)) return "no image";
    if (system(("/sbin/mkfs.ext4 -q -F " + image).c_str()) != 0) return "no file system";
    LoopDevice device(image);
    if (!device.ok()) return "no loop device";
    if (mkdir(point.c_str(), 0700) != 0 ||
        mount(device.path().c_str(), point.c_str(), "ext4", 0, nullptr) != 0) {
      return std::string("no mount: ") + strerror(errno);
    }
    // Something that is there before and goes away in the end.
    const std::string early = point + "/early";
    FillDisk(early);
    if (truncate(early.c_str(), static_cast<off_t>(4 * kMiB)) != 0) return "no room at first";
    const std::string filler = point + "/filler";
    const std::string result = UseUp(
        point, [&] { FillDisk(filler); },
        [&] {
          unlink(filler.c_str());
          unlink(early.c_str());
          sync();
        });
    // The page file is open until the process ends; the mount goes with it.
    umount2(point.c_str(), MNT_DETACH);
    return result;
  });
  EXPECT_EQ(problem, "");
}

TEST(FullDiskTest, LimitOfFileSizes) {
  const std::string problem = InChild([]() -> std::string {
    rlimit limit{kRoomBytes, 4 * kRoomBytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit can be set";
    return UseUp("/var/tmp", [] {}, [] {
      rlimit higher{2 * kRoomBytes, 4 * kRoomBytes};
      EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &higher), 0);
    });
  });
  EXPECT_EQ(problem, "");
}

}  // namespace
}  // namespace userpager
