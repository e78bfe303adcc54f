#include "bench/support/bench_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/support/echo_floor.h"
#include "bench/support/machine.h"
#include "bench/support/scratch_file.h"

namespace userpager::bench {
namespace {

class MallocMemory : public BenchMemory {
 public:
  explicit MallocMemory(uint64_t bytes) : block_(malloc(bytes + kPageBytes)) {
    if (block_ == nullptr) Die("malloc of the data", ENOMEM);
    const auto address = reinterpret_cast<uintptr_t>(block_);
    base_ = static_cast<unsigned char*>(block_) + (kPageBytes - address % kPageBytes);
  }
  ~MallocMemory() override { free(block_); }
  unsigned char* base() const override { return base_; }

 private:
  void* const block_;
  unsigned char* base_;
};

class PlainMemory : public BenchMemory {
 public:
  explicit PlainMemory(uint64_t bytes) : bytes_(bytes), base_(MapPages(bytes / kPageBytes)) {}
  ~PlainMemory() override { munmap(base_, bytes_); }
  unsigned char* base() const override { return static_cast<unsigned char*>(base_); }

 private:
  const uint64_t bytes_;
  void* const base_;
};

class MappedMemory : public BenchMemory {
 public:
  MappedMemory(uint64_t bytes, const std::string& directory, int advice)
      : bytes_(bytes), file_(directory, ScratchFile::Cache::kCached) {
    file_.Allocate(bytes_);
    base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd(), 0);
    if (base_ == MAP_FAILED) Die("mapping the file of the data", errno);
    if (madvise(base_, bytes_, advice) != 0) Die("madvise of the mapped file", errno);
  }
  ~MappedMemory() override { munmap(base_, bytes_); }
  unsigned char* base() const override { return static_cast<unsigned char*>(base_); }
  void Settle() override {
    if (msync(base_, bytes_, MS_SYNC) != 0) Die("msync of the mapped file", errno);
  }

 private:
  const uint64_t bytes_;
  ScratchFile file_;
  void* base_ = nullptr;
};

}  // namespace

std::unique_ptr<BenchMemory> MakeMallocMemory(const DataShape& shape) {
  return std::make_unique<MallocMemory>(shape.span_bytes());
}

std::unique_ptr<BenchMemory> MakePlainMemory(const DataShape& shape) {
  return std::make_unique<PlainMemory>(shape.span_bytes());
}

std::unique_ptr<BenchMemory> MakeMappedMemory(const DataShape& shape, const std::string& directory,
                                              int advice) {
  return std::make_unique<MappedMemory>(shape.span_bytes(), directory, advice);
}

}  // namespace userpager::bench
