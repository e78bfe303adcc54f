// The trace file: what a recording writes (pager/recording.h) and `userpager report` reads. Version
// 2. All numbers are little-endian, all times nanoseconds of CLOCK_MONOTONIC, so that they can be
// laid beside those of other tools.
//
//   TraceHeader      once
//   TraceBlock       a run of records of one kind, numbered from 0 without a gap
//     records        record_count of them, 32 bytes each; a TraceCallers takes the place of 5, a
//                    TraceModule that of 16
//   ...
//   TraceBlock       of kind kEnd, without records: the recording was ended and not cut off
//
// Order: the events of one shard are in the order in which they happened; those of different
// shards are, among one another, as exact as the writer's turns (Recording::kTurnNs).
// Loss: a shard that finds its ring full counts the event and goes on; each block tells how many
// events of its shard were dropped until it was written. Blocks of kCallers tell the same of
// their records.
// Code: the modules that are loaded come before the callers that are in them, and all once more
// when one has been loaded or unloaded; of two at one place, the later before the callers counts.
// Checks: the header and each block with its records have a CRC32C. A file that ends within a block
// is truncated; one that ends behind a block without kEnd is of a program that was killed, that
// called _exit, or that still runs.
#ifndef USERPAGER_OBSERVE_TRACE_FORMAT_H_
#define USERPAGER_OBSERVE_TRACE_FORMAT_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace userpager {

static_assert(std::endian::native == std::endian::little, "the trace file is little-endian");

inline constexpr char kTraceMagic[8] = {'U', 'P', 'T', 'R', 'A', 'C', 'E', '\n'};
inline constexpr uint32_t kTraceVersion = 2;
inline constexpr uint32_t kTraceBlockMagic = 0x4b4c4255;  // "UBLK"
inline constexpr size_t kTraceRecordBytes = 32;
inline constexpr size_t kTraceProgramBytes = 408;
inline constexpr size_t kTraceFrames = 16;
inline constexpr size_t kTraceBuildIdBytes = 32;
inline constexpr size_t kTracePathBytes = 448;
// So many records are in a block at most.
inline constexpr uint32_t kMostTraceRecords = 1u << 20;

struct TraceHeader {
  char magic[8];                // kTraceMagic
  uint32_t version;             // kTraceVersion
  uint32_t header_bytes;        // sizeof(TraceHeader)
  uint32_t record_bytes;        // kTraceRecordBytes
  uint32_t page_bytes;          // kPageBytes
  uint64_t began_ns;            // CLOCK_MONOTONIC
  uint64_t began_unix_ns;       // the same moment by CLOCK_REALTIME
  uint64_t limit_pages;         // the memory limit then
  uint64_t file_pages;          // the most that the page file may hold
  uint32_t process_id;
  uint32_t shards;
  char program[kTraceProgramBytes];  // the path of its executable, as far as it fits, then zeros
  uint32_t reserved;            // 0
  uint32_t checksum;            // CRC32C of all bytes before it
};

enum class TraceBlockKind : uint16_t {
  kEvents = 1,
  kSamples = 2,
  kEnd = 3,
  kCallers = 4,
  kModules = 5,
};

struct TraceBlock {
  uint32_t magic;          // kTraceBlockMagic
  TraceBlockKind kind;
  uint16_t shard;          // of kEvents
  uint32_t record_count;
  uint32_t checksum;       // CRC32C of the records
  uint64_t number;         // of the block in the file
  uint32_t dropped;        // events of the shard that found no room so far (kEnd: of all shards;
                           // kCallers: callers)
  uint32_t head_checksum;  // CRC32C of the block's bytes before it
};

// What happened. `page` and `page_count` are the run of pages that it happened to.
enum class TraceKind : uint8_t {
  // Faults that were answered. `page + lead` was touched, the rest came along. `latency_ns` is the
  // time from the kernel's message to the answer, `thread_id` who touched.
  kDemandZero = 1,    // the run got zeros
  kSoft = 2,          // the page was still in memory
  kHard = 3,          // the page was read
  kWriteProtect = 4,  // the run was clean and is dirty
  kViolation = 5,     // the access is not allowed: no latency, no thread
  // Pages on their way.
  kPagesIn = 8,       // were read and installed; `lead`: 1 if a thread waited for one, else 0
  kPagesOut = 9,      // were written; `latency_ns` is the time of the write
  kParked = 10,       // left the working set; contents are in memory still
  kDropped = 11,      // left memory; contents are in the page file
  kZerosDropped = 12,   // left memory as zeros, without a write
  // Of pages that were read ahead of demand.
  kAheadUsed = 16,    // `page_count` of a stream with `page` were used
  kAheadWasted = 17,  // the page left memory unused
  // Around them.
  kReserved = 24,     // the run is a region from now on: a reservation, or the part of a large one
                      // that one shard has
  kReleased = 25,     // the region is gone
  kLimit = 26,        // the memory limit is `page` pages from now on
};

struct TraceEvent {
  uint64_t time_ns;
  uint64_t page;        // the address divided by 4096
  uint32_t page_count;  // 2^32 - 1: that many or more
  uint32_t thread_id;   // 0: nobody, or not known
  uint32_t latency_ns;  // 2^32 - 1: that much or more
  uint16_t lead;
  TraceKind kind;
  uint8_t reserved;     // 0
};

// What memory looked like at one moment, in pages.
struct TraceSample {
  uint64_t time_ns;
  uint32_t limit;      // the memory limit
  uint32_t charged;    // in memory: working set, parked pages, buffers
  uint32_t mapped;     // working set
  uint32_t file_used;  // in the page file
  uint64_t reserved;   // 0
};

// Which code asked for memory, where it is recorded: a reservation, a mapping, or a block or an
// extent of the heap.
struct TraceCallers {
  uint64_t time_ns;        // when it was there
  uint64_t page;
  uint64_t page_count;
  uint32_t thread_id;
  uint32_t frame_count;    // of `frames`; the stack may have gone on
  uint64_t frames[kTraceFrames];  // return addresses, the innermost first
};

// The program or a library that is loaded.
struct TraceModule {
  uint64_t begin;          // of its addresses
  uint64_t end;
  uint64_t load_address;   // is added to an address of the file
  uint32_t build_id_bytes;
  uint32_t reserved;       // 0
  uint8_t build_id[kTraceBuildIdBytes];
  char path[kTracePathBytes];  // as far as it fits, then zeros
};

static_assert(sizeof(TraceHeader) == 480 && sizeof(TraceBlock) == 32);
static_assert(sizeof(TraceEvent) == kTraceRecordBytes && sizeof(TraceSample) == kTraceRecordBytes);
static_assert(sizeof(TraceCallers) == 5 * kTraceRecordBytes);
static_assert(sizeof(TraceModule) == 16 * kTraceRecordBytes);
static_assert(offsetof(TraceHeader, checksum) + 4 == sizeof(TraceHeader));
static_assert(offsetof(TraceBlock, head_checksum) + 4 == sizeof(TraceBlock));

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_TRACE_FORMAT_H_
