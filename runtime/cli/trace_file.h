// TraceFile: a recording (observe/trace_format.h) that has been looked at as a whole: every block
// is there, and says what was written.
#ifndef USERPAGER_CLI_TRACE_FILE_H_
#define USERPAGER_CLI_TRACE_FILE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/observe/trace_format.h"

namespace userpager::cli {

class TraceFile {
 public:
  struct Events {
    unsigned shard;
    std::span<const TraceEvent> events;
  };

  struct Callers {
    const TraceCallers* record;
    size_t modules;  // so many of modules() were written before
  };

  TraceFile() = default;
  ~TraceFile();
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  // Reads the file. "" or one line that says what is wrong with it: it cannot be read, it is no
  // trace file, of another version, truncated, or damaged. Nothing else may be called then.
  std::string Open(const std::string& path);

  const TraceHeader& header() const { return *header_; }
  // In the order in which they were written, which for each shard is the order of events.
  const std::vector<Events>& blocks() const { return blocks_; }
  const std::vector<TraceSample>& samples() const { return samples_; }
  // Who asked for memory, where that was recorded, and the modules that their code is in.
  const std::vector<Callers>& callers() const { return callers_; }
  const std::vector<const TraceModule*>& modules() const { return modules_; }
  uint64_t event_count() const { return event_count_; }
  // Events that found no room while it was recorded.
  uint64_t dropped() const { return dropped_; }
  // False: the program was killed, called _exit, or still runs.
  bool has_end() const { return has_end_; }

 private:
  std::string ReadBlocks(const std::string& path);
  std::string ReadBlock(const std::string& path, size_t* at, uint64_t number);
  // Of a block that is whole. What is wrong with what it says, or nullptr.
  const char* TakeBlock(const TraceBlock& block, const char* records);
  const char* TakeEvents(const TraceBlock& block, const char* records);

  const char* data_ = nullptr;  // mapped
  size_t bytes_ = 0;
  const TraceHeader* header_ = nullptr;
  std::vector<Events> blocks_;
  std::vector<TraceSample> samples_;
  std::vector<Callers> callers_;
  std::vector<const TraceModule*> modules_;
  std::vector<uint64_t> dropped_of_;  // by shard
  uint64_t event_count_ = 0;
  uint64_t dropped_ = 0;
  bool has_end_ = false;
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TRACE_FILE_H_
