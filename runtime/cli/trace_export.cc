#include "runtime/cli/trace_export.h"

#include "runtime/base/types.h"
#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

const char* NameOf(TraceKind kind) {
  switch (kind) {
    case TraceKind::kDemandZero: return "demand_zero";
    case TraceKind::kSoft: return "soft";
    case TraceKind::kHard: return "hard";
    case TraceKind::kWriteProtect: return "write_protect";
    case TraceKind::kViolation: return "violation";
    case TraceKind::kPagesIn: return "pages_in";
    case TraceKind::kPagesOut: return "pages_out";
    case TraceKind::kParked: return "parked";
    case TraceKind::kDropped: return "dropped";
    case TraceKind::kZerosDropped: return "zeros_dropped";
    case TraceKind::kAheadUsed: return "ahead_used";
    case TraceKind::kAheadWasted: return "ahead_wasted";
    case TraceKind::kReserved: return "reserved";
    case TraceKind::kReleased: return "released";
    case TraceKind::kLimit: return "limit_changed";
  }
  return "unknown";
}

bool IsFault(TraceKind kind) {
  return kind >= TraceKind::kDemandZero && kind <= TraceKind::kWriteProtect;
}

unsigned long long AddressOfTouch(const TraceEvent& event) {
  return (event.page + (IsFault(event.kind) ? event.lead : 0)) << kPageShift;
}

double SecondsSince(const TraceFile& file, uint64_t time_ns) {
  return (static_cast<double>(time_ns) - static_cast<double>(file.header().began_ns)) / 1e9;
}

// The fields of a sample with their names.
template <typename Each>
void ForEachValue(const TraceSample& sample, Each each) {
  each("limit", sample.limit);
  each("charged", sample.charged);
  each("mapped", sample.mapped);
  each("file_used", sample.file_used);
}

// A slice, or for what takes no time an instant.
std::string ChromeEvent(const TraceFile& file, const TraceEvent& event) {
  const double end_us = 1e6 * SecondsSince(file, event.time_ns);
  const double took_us = static_cast<double>(event.latency_ns) / 1e3;
  const bool lasts = event.latency_ns > 0;
  std::string text = Format("{\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,",
                            NameOf(event.kind), IsFault(event.kind) ? "fault" : "pager",
                            file.header().process_id, event.thread_id,
                            lasts ? end_us - took_us : end_us);
  text += lasts ? Format("\"ph\":\"X\",\"dur\":%.3f,", took_us) : "\"ph\":\"i\",\"s\":\"t\",";
  return text + Format("\"args\":{\"address\":\"0x%llx\",\"pages\":%u}}", AddressOfTouch(event),
                       event.page_count);
}

}  // namespace

void WriteCsv(const TraceFile& file, std::ostream& out) {
  out << "seconds,shard,kind,address,pages,thread,latency_ns\n";
  for (const TraceFile::Events& block : file.blocks()) {
    for (const TraceEvent& event : block.events) {
      if (event.kind == TraceKind::kLimit) {
        out << Format("%.9f,%u,%s,,%llu,,\n", SecondsSince(file, event.time_ns), block.shard,
                      NameOf(event.kind), static_cast<unsigned long long>(event.page));
        continue;
      }
      out << Format("%.9f,%u,%s,0x%llx,%u,%u,%u\n", SecondsSince(file, event.time_ns), block.shard,
                    NameOf(event.kind), AddressOfTouch(event), event.page_count, event.thread_id,
                    event.latency_ns);
    }
  }
  for (const TraceSample& sample : file.samples()) {
    ForEachValue(sample, [&](const char* name, uint32_t pages) {
      out << Format("%.9f,,%s,,%u,,\n", SecondsSince(file, sample.time_ns), name, pages);
    });
  }
}

void WriteChromeTrace(const TraceFile& file, std::ostream& out) {
  const unsigned process = file.header().process_id;
  out << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
      << Format("{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":0,"
                "\"args\":{\"name\":\"pager and page file\"}}",
                process);
  for (const TraceFile::Events& block : file.blocks()) {
    for (const TraceEvent& event : block.events) {
      // What a counter shows better, or a slice has already.
      if (event.kind == TraceKind::kLimit || event.kind == TraceKind::kPagesIn) continue;
      out << ",\n" << ChromeEvent(file, event);
    }
  }
  for (const TraceSample& sample : file.samples()) {
    ForEachValue(sample, [&](const char* name, uint32_t pages) {
      out << Format(",\n{\"name\":\"%s\",\"ph\":\"C\",\"pid\":%u,\"ts\":%.3f,"
                    "\"args\":{\"MiB\":%.3f}}",
                    name, process, 1e6 * SecondsSince(file, sample.time_ns), pages / 256.0);
    });
  }
  out << "\n]}\n";
}

}  // namespace userpager::cli
