// DiskFloor: one direct read of 4 KiB at a random place of a file that is as large as the memory
// that is paged out, was written in the same minute, and lies in the page file's directory.
#ifndef USERPAGER_BENCH_SUPPORT_DISK_FLOOR_H_
#define USERPAGER_BENCH_SUPPORT_DISK_FLOOR_H_

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

#include "bench/support/echo_floor.h"
#include "bench/support/rival.h"
#include "bench/support/scratch_file.h"

namespace userpager::bench {

class DiskFloor : public Rival {
 public:
  DiskFloor(const std::string& directory, uint64_t pages)
      : Rival("direct read of 4 KiB from the disk", Role::kDisk),
        buffer_(MapPages(kChunkPages)),
        file_(directory, ScratchFile::Cache::kDirect) {
    Fill(pages);
  }
  ~DiskFloor() override { munmap(buffer_, kChunkPages * kPageBytes); }

  bool direct() const { return file_.direct(); }

  void Prepare(std::span<const uint32_t>) override {}
  uint64_t Touch(uint32_t page) override {
    ++touches_;
    const uint64_t start = NowNanoseconds();
    const ssize_t got = pread(file_.fd(), buffer_, kPageBytes, OffsetOf(page));
    const uint64_t took = NowNanoseconds() - start;
    if (got != static_cast<ssize_t>(kPageBytes)) Die("reading the disk's floor", errno);
    return took;
  }
  uint64_t IntendedFaults() override { return touches_; }

 private:
  static constexpr uint64_t kChunkPages = 256;

  static off_t OffsetOf(uint64_t page) { return static_cast<off_t>(page * kPageBytes); }

  void Fill(uint64_t pages) {
    std::mt19937_64 random(1);
    auto* words = static_cast<uint64_t*>(buffer_);
    for (uint64_t page = 0; page < pages; page += kChunkPages) {
      std::generate_n(words, kChunkPages * kPageBytes / sizeof(uint64_t), std::ref(random));
      const uint64_t bytes = std::min(kChunkPages, pages - page) * kPageBytes;
      if (pwrite(file_.fd(), buffer_, bytes, OffsetOf(page)) != static_cast<ssize_t>(bytes)) {
        Die("writing the file for the disk's floor", errno);
      }
    }
    file_.Sync();
  }

  void* const buffer_;
  ScratchFile file_;
  uint64_t touches_ = 0;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_DISK_FLOOR_H_
