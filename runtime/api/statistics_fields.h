// The fields of userpager_stats by their names, for what writes them as text.
#ifndef USERPAGER_API_STATISTICS_FIELDS_H_
#define USERPAGER_API_STATISTICS_FIELDS_H_

#include <userpager/userpager.h>

#include <cstdint>
#include <string_view>

namespace userpager {

struct StatisticsField {
  std::string_view name;
  uint64_t userpager_stats::*value;
  bool is_level;  // what is now, or was at most; else it only ever grows
  std::string_view meaning;
};

inline constexpr StatisticsField kStatisticsFields[] = {
    {"demand_zero_faults", &userpager_stats::demand_zero_faults, false, "first touches"},
    {"soft_faults", &userpager_stats::soft_faults, false, "faults on pages still in memory"},
    {"hard_faults", &userpager_stats::hard_faults, false, "faults on pages that had to be read"},
    {"write_protect_faults", &userpager_stats::write_protect_faults, false,
     "first writes to pages that were clean"},
    {"fault_longest_wait_ns", &userpager_stats::fault_longest_wait_ns, true,
     "the longest that any fault has waited for its answer"},
    {"access_violations", &userpager_stats::access_violations, false,
     "touches of what is not committed or not allowed"},
    {"queued_faults", &userpager_stats::queued_faults, false, "faults that had to wait for memory"},
    {"stale_messages", &userpager_stats::stale_messages, false,
     "messages of the kernel about pages that needed nothing any more"},
    {"pages_in", &userpager_stats::pages_in, false, "pages read and installed"},
    {"pages_out", &userpager_stats::pages_out, false, "pages written"},
    {"file_reads", &userpager_stats::file_reads, false, "requests to read the page file"},
    {"file_writes", &userpager_stats::file_writes, false, "requests to write the page file"},
    {"file_read_bytes", &userpager_stats::file_read_bytes, false, "bytes read from the page file"},
    {"file_write_bytes", &userpager_stats::file_write_bytes, false,
     "bytes written to the page file"},
    {"file_read_errors", &userpager_stats::file_read_errors, false, "reads that failed"},
    {"file_write_errors", &userpager_stats::file_write_errors, false, "writes that failed"},
    {"ahead_pages", &userpager_stats::ahead_pages, false, "pages read ahead of demand"},
    {"ahead_pages_used", &userpager_stats::ahead_pages_used, false,
     "of these, known to have been used"},
    {"zero_pages_dropped", &userpager_stats::zero_pages_dropped, false,
     "pages paged out as zeros, without a write"},
    {"clean_pages_dropped", &userpager_stats::clean_pages_dropped, false,
     "pages that left memory without a write, as the page file had them"},
    {"pinned_pages", &userpager_stats::pinned_pages, false,
     "times that a page could not leave as something pinned it"},
    {"lost_pages", &userpager_stats::lost_pages, false,
     "pages that the page file failed to give back"},
    {"memory_limit_bytes", &userpager_stats::memory_limit_bytes, true, "the memory limit"},
    {"resident_bytes", &userpager_stats::resident_bytes, true, "charged to the limit now"},
    {"resident_bytes_peak", &userpager_stats::resident_bytes_peak, true, "the most ever charged"},
    {"commit_bytes", &userpager_stats::commit_bytes, true, "committed now"},
    {"commit_limit_bytes", &userpager_stats::commit_limit_bytes, true,
     "the most that can be promised"},
    {"commit_bytes_peak", &userpager_stats::commit_bytes_peak, true, "the most ever committed"},
    {"page_file_used_bytes", &userpager_stats::page_file_used_bytes, true,
     "of the page file, in use"},
    {"page_file_allocated_bytes", &userpager_stats::page_file_allocated_bytes, true,
     "of the page file, with disk space of its own"},
    {"page_file_discarded_bytes", &userpager_stats::page_file_discarded_bytes, false,
     "of the page file, whose disk space was given back"},
    {"page_file_max_bytes", &userpager_stats::page_file_max_bytes, true,
     "the most that the page file may grow to"},
};

struct LatencyField {
  std::string_view kind;  // of fault
  std::string_view name;
  userpager_latency userpager_stats::*value;
};

inline constexpr LatencyField kLatencyFields[] = {
    {"demand_zero", "demand_zero_latency", &userpager_stats::demand_zero_latency},
    {"soft", "soft_latency", &userpager_stats::soft_latency},
    {"hard", "hard_latency", &userpager_stats::hard_latency},
    {"write_protect", "write_protect_latency", &userpager_stats::write_protect_latency},
};

}  // namespace userpager

#endif  // USERPAGER_API_STATISTICS_FIELDS_H_
