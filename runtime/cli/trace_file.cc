#include "runtime/cli/trace_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "runtime/base/types.h"
#include "runtime/cli/format.h"
#include "runtime/page_file/checksum.h"

namespace userpager::cli {
namespace {

std::string Damaged(const std::string& path, size_t at, const char* what) {
  return Format("%s is damaged at byte %zu: %s; record it again", path.c_str(), at, what);
}

std::string Truncated(const std::string& path, size_t bytes, size_t wanted) {
  return Format("%s is truncated: it ends after %zu bytes, within a part that goes on to byte %zu;"
                " copy it again, or record it again",
                path.c_str(), bytes, wanted);
}

// Whoever made the file may have made its checksums as well: what follows is relied on later.
constexpr uint64_t kMostPages = uint64_t{1} << 44;       // in 56 bits of addresses
constexpr uint64_t kMostPagesOfRun = uint64_t{1} << 20;  // at once, of one region
constexpr uint32_t kMostShards = uint32_t{1} << 16;

bool IsPossible(const TraceEvent& event) {
  if (event.kind == TraceKind::kLimit) return event.page <= kMostPages;
  const bool is_region = event.kind == TraceKind::kReserved || event.kind == TraceKind::kReleased;
  const uint64_t most = is_region ? kMostPages : kMostPagesOfRun;
  return event.page < kMostPages && event.page_count <= std::min(most, kMostPages - event.page);
}

// What is wrong with a header that begins with the right letters, or "".
std::string CheckHeader(const std::string& path, const TraceHeader& header) {
  if (header.version != kTraceVersion) {
    return Format("%s is a trace file of version %u, and this program reads version %u; use the"
                  " userpager that recorded it",
                  path.c_str(), header.version, kTraceVersion);
  }
  const bool intact = header.checksum == Crc32c(&header, offsetof(TraceHeader, checksum)) &&
                      header.header_bytes == sizeof header &&
                      header.record_bytes == kTraceRecordBytes && header.page_bytes == kPageBytes;
  const bool possible = header.shards <= kMostShards && header.limit_pages <= kMostPages &&
                        header.program[sizeof header.program - 1] == '\0';
  return intact && possible ? "" : Damaged(path, 0, "its header is not what was written");
}

}  // namespace

TraceFile::~TraceFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), bytes_);
}

std::string TraceFile::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) {
    const std::string why = std::strerror(errno);
    if (file >= 0) close(file);
    return path + " cannot be read: " + why;
  }
  if (!S_ISREG(status.st_mode)) {
    close(file);
    return path + " is no file; give one that userpager record has made";
  }
  bytes_ = static_cast<size_t>(status.st_size);
  void* data = bytes_ == 0 ? nullptr : mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
  const int failed = errno;
  close(file);
  if (data == MAP_FAILED) return path + " cannot be read: " + std::strerror(failed);
  data_ = static_cast<const char*>(data);
  if (bytes_ < sizeof kTraceMagic || std::memcmp(data_, kTraceMagic, sizeof kTraceMagic) != 0) {
    return path + " is no trace file; give one that userpager record has made";
  }
  if (bytes_ < sizeof(TraceHeader)) return Truncated(path, bytes_, sizeof(TraceHeader));
  header_ = reinterpret_cast<const TraceHeader*>(data_);
  if (const std::string wrong = CheckHeader(path, *header_); !wrong.empty()) return wrong;
  dropped_of_.resize(header_->shards);
  return ReadBlocks(path);
}

std::string TraceFile::ReadBlocks(const std::string& path) {
  size_t at = sizeof(TraceHeader);
  for (uint64_t number = 0; at < bytes_; ++number) {
    if (has_end_) return Damaged(path, at, "something stands behind its end");
    if (const std::string wrong = ReadBlock(path, &at, number); !wrong.empty()) return wrong;
  }
  if (!has_end_) dropped_ = std::accumulate(dropped_of_.begin(), dropped_of_.end(), uint64_t{0});
  return "";
}

std::string TraceFile::ReadBlock(const std::string& path, size_t* at, uint64_t number) {
  if (bytes_ - *at < sizeof(TraceBlock)) return Truncated(path, bytes_, *at + sizeof(TraceBlock));
  const auto* block = reinterpret_cast<const TraceBlock*>(data_ + *at);
  if (block->magic != kTraceBlockMagic ||
      block->head_checksum != Crc32c(block, offsetof(TraceBlock, head_checksum)) ||
      block->number != number || block->record_count > kMostTraceRecords) {
    return Damaged(path, *at, "no block of it begins there that was to");
  }
  const size_t record_bytes = block->record_count * kTraceRecordBytes;
  const size_t end = *at + sizeof(TraceBlock) + record_bytes;
  if (end > bytes_) return Truncated(path, bytes_, end);
  const char* records = data_ + *at + sizeof(TraceBlock);
  if (block->checksum != Crc32c(records, record_bytes)) {
    return Damaged(path, *at, "the block has other bytes than were written");
  }
  *at = end;
  const char* wrong = TakeBlock(*block, records);
  return wrong == nullptr ? "" : Damaged(path, *at, wrong);
}

const char* TraceFile::TakeEvents(const TraceBlock& block, const char* records) {
  if (block.shard >= dropped_of_.size()) return "there is no such shard";
  const std::span events(reinterpret_cast<const TraceEvent*>(records), block.record_count);
  if (!std::all_of(events.begin(), events.end(), IsPossible)) {
    return "an event is of pages that cannot be there";
  }
  blocks_.push_back({block.shard, events});
  event_count_ += block.record_count;
  dropped_of_[block.shard] = block.dropped;
  return nullptr;
}

const char* TraceFile::TakeBlock(const TraceBlock& block, const char* records) {
  const size_t bytes = block.record_count * kTraceRecordBytes;
  switch (block.kind) {
    case TraceBlockKind::kEvents: return TakeEvents(block, records);
    case TraceBlockKind::kSamples: {
      const auto* samples = reinterpret_cast<const TraceSample*>(records);
      samples_.insert(samples_.end(), samples, samples + block.record_count);
      return nullptr;
    }
    case TraceBlockKind::kCallers:
      if (bytes % sizeof(TraceCallers) != 0) return "it has a part of a record";
      for (size_t i = 0; i < bytes; i += sizeof(TraceCallers)) {
        callers_.push_back({reinterpret_cast<const TraceCallers*>(records + i), modules_.size()});
      }
      return nullptr;
    case TraceBlockKind::kModules:
      if (bytes % sizeof(TraceModule) != 0) return "it has a part of a record";
      for (size_t i = 0; i < bytes; i += sizeof(TraceModule)) {
        modules_.push_back(reinterpret_cast<const TraceModule*>(records + i));
      }
      return nullptr;
    case TraceBlockKind::kEnd:
      dropped_ = block.dropped;
      has_end_ = true;
      return nullptr;
  }
  return "a block is of an unknown kind";
}

}  // namespace userpager::cli
