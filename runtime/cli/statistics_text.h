// The statistics of processes as text: for people, as JSON, and for Prometheus.
#ifndef USERPAGER_CLI_STATISTICS_TEXT_H_
#define USERPAGER_CLI_STATISTICS_TEXT_H_

#include <sys/types.h>
#include <userpager/userpager.h>

#include <string>
#include <vector>

namespace userpager::cli {

struct ProcessStatistics {
  pid_t number = 0;
  std::string name;
  userpager_stats stats = {};
};

// As /proc/meminfo has it: a line "Name:   value unit" for each.
std::string AsText(const ProcessStatistics& process);
// An object with the names of userpager_get_stats(), and "pid" and "name".
std::string AsJson(const ProcessStatistics& process);
// An array of such objects.
std::string AsJson(const std::vector<ProcessStatistics>& processes);
// Prometheus' text exposition format 0.0.4; each sample has the labels pid and name.
std::string AsPrometheus(const std::vector<ProcessStatistics>& processes);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_STATISTICS_TEXT_H_
