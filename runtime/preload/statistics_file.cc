#include "runtime/preload/statistics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <string_view>

#include "runtime/base/log_line.h"
#include "runtime/platform/descriptors.h"
#include "runtime/preload/environment.h"
#include "runtime/preload/preload.h"

namespace userpager {
namespace {

constexpr const char* kVariable = "USERPAGER_STATS";
constinit int file = -1;

struct Field {
  std::string_view name;
  uint64_t userpager_stats::*value;
};

constexpr Field kFields[] = {
    {"demand_zero_faults", &userpager_stats::demand_zero_faults},
    {"soft_faults", &userpager_stats::soft_faults},
    {"hard_faults", &userpager_stats::hard_faults},
    {"write_protect_faults", &userpager_stats::write_protect_faults},
    {"access_violations", &userpager_stats::access_violations},
    {"queued_faults", &userpager_stats::queued_faults},
    {"stale_messages", &userpager_stats::stale_messages},
    {"pages_in", &userpager_stats::pages_in},
    {"pages_out", &userpager_stats::pages_out},
    {"file_reads", &userpager_stats::file_reads},
    {"file_writes", &userpager_stats::file_writes},
    {"file_read_bytes", &userpager_stats::file_read_bytes},
    {"file_write_bytes", &userpager_stats::file_write_bytes},
    {"file_read_errors", &userpager_stats::file_read_errors},
    {"file_write_errors", &userpager_stats::file_write_errors},
    {"ahead_pages", &userpager_stats::ahead_pages},
    {"ahead_pages_used", &userpager_stats::ahead_pages_used},
    {"zero_pages_dropped", &userpager_stats::zero_pages_dropped},
    {"clean_pages_dropped", &userpager_stats::clean_pages_dropped},
    {"pinned_pages", &userpager_stats::pinned_pages},
    {"lost_pages", &userpager_stats::lost_pages},
    {"memory_limit_bytes", &userpager_stats::memory_limit_bytes},
    {"resident_bytes", &userpager_stats::resident_bytes},
    {"resident_bytes_peak", &userpager_stats::resident_bytes_peak},
    {"commit_bytes", &userpager_stats::commit_bytes},
    {"commit_bytes_peak", &userpager_stats::commit_bytes_peak},
    {"page_file_used_bytes", &userpager_stats::page_file_used_bytes},
    {"page_file_allocated_bytes", &userpager_stats::page_file_allocated_bytes},
    {"page_file_max_bytes", &userpager_stats::page_file_max_bytes},
};

bool WriteAll(std::string_view text) {
  return write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void WriteFile() {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  if (file < 0 || Preload::Active() == nullptr || userpager_get_stats(&stats) != 0) return;
  bool complete = WriteAll("{");
  std::string_view before = "\n";
  for (const Field& field : kFields) {
    LogLine line;
    line << before << "  \"" << field.name << "\": " << stats.*field.value;
    complete = complete && WriteAll(line.text());
    before = ",\n";
  }
  if (complete && WriteAll("\n}\n")) return;
  LogLine line;
  line << "the file for the statistics could not be written: " << ErrnoText{errno};
  line.Write();
}

}  // namespace

void StatisticsFile::Begin() {
  const char* path = secure_getenv(kVariable);
  if (path == nullptr) return;
  file = Descriptors::Keep(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file < 0) {
    LogLine line;
    line << "the file for the statistics, " << path << ", could not be made: "
         << ErrnoText{errno};
    line.Write();
  }
  ForgetVariable(kVariable);
  atexit(&WriteFile);
}

}  // namespace userpager
