#include "runtime/cli/doctor.h"

#include <sys/resource.h>
#include <userpager/userpager.h>

#include <fstream>
#include <iomanip>
#include <iostream>

#include "runtime/api/machine_memory.h"
#include "runtime/cli/command.h"
#include "runtime/cli/device_rights.h"
#include "runtime/cli/run_command.h"
#include "runtime/page_file/page_file.h"
#include "runtime/platform/features.h"
#include "runtime/platform/io_ring.h"

namespace userpager::cli {
namespace {

enum class Need { kNecessary, kBetter };

// The table, line by line.
class Table {
 public:
  void Add(const std::string& what, bool there, Need need, const std::string& detail) {
    const char* state = there ? "yes" : need == Need::kNecessary ? "MISSING" : "no";
    std::cout << std::left << std::setw(34) << what << std::setw(9) << state << detail << '\n';
    if (!there && need == Need::kNecessary) works_ = false;
  }
  bool works() const { return works_; }

 private:
  bool works_ = true;
};

std::string Mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

void LookAtUserfaultfd(Table* table) {
  PlatformFeatures features;
  LogLine error;
  if (ProbeFeatures(&features, &error) != 0) {
    table->Add("userfaultfd", false, Need::kNecessary, std::string(error.text()));
    return;
  }
  table->Add("userfaultfd", true, Need::kNecessary, "");
  table->Add("faults of system calls", features.kernel_faults, Need::kNecessary,
             features.kernel_faults
                 ? ""
                 : "one of the next two lines gives them, and so does CAP_SYS_PTRACE");
  for (const RightsLine& line : DeviceRights()) {
    table->Add(line.what, line.there, Need::kBetter, line.detail);
  }
  table->Add("UFFDIO_MOVE", features.move, Need::kBetter,
             features.move ? "" : "Linux 6.8: pages leave without being copied");
  table->Add("UFFDIO_POISON", features.poison, Need::kBetter,
             features.poison ? "" : "Linux 6.6: a lost page is marked in place");
  table->Add("guards, many discards a call", features.guard && features.discard_vector,
             Need::kBetter, features.guard ? "" : "Linux 6.13: fewer mappings and system calls");
}

// Without a ring threads do its work, but where the user has chosen it.
void LookAtRing(Table* table) {
  const char* configuration = std::getenv("USERPAGER_CONF");
  const bool chosen = configuration != nullptr &&
                      std::string(configuration).find("io:uring") != std::string::npos;
  IoRing ring;
  const bool there = ring.Open() == 0;
  const std::string remedy =
      "to have it, as root: sysctl kernel.io_uring_disabled=0; in a container, allow it in its "
      "seccomp profile";
  table->Add("io_uring", there, chosen ? Need::kNecessary : Need::kBetter,
             there    ? ""
             : chosen ? remedy + "; or take io:uring out of USERPAGER_CONF"
                      : "threads read and write the page file instead; " + remedy);
}

void LookAtPageFile(const std::string& place, Table* table) {
  PageFile file;
  LogLine error;
  const bool opened = file.Open({place, PageFile::kSmallestBytes}, &error) == 0;
  table->Add("page file in " + place, opened, Need::kNecessary,
             opened ? "its space can be allocated" : std::string(error.text()));
  if (!opened) return;
  table->Add("O_DIRECT there", file.direct(), Need::kBetter,
             file.direct() ? "" : "what is paged out is in the page cache as well; choose a place"
                                  " on another file system (--page-file)");
}

void LookAtLimits(Table* table) {
  const MachineMemory machine = MachineMemory::Read("");
  table->Add("memory", true, Need::kBetter,
             Mebibytes(machine.total_bytes) + ", of which the cgroup allows " +
                 Mebibytes(machine.allowed_bytes));
  rlimit locked{};
  getrlimit(RLIMIT_MEMLOCK, &locked);
  table->Add("memory lock limit", true, Need::kBetter,
             locked.rlim_cur == RLIM_INFINITY ? "none" : Mebibytes(locked.rlim_cur));
  constexpr uint64_t kEnoughMappings = 65530;
  uint64_t mappings = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> mappings;
  const bool enough = mappings >= kEnoughMappings;
  table->Add("mappings of a process", enough, Need::kBetter,
             std::to_string(mappings) +
                 (enough ? "" : "; as root: sysctl vm.max_map_count=" +
                                    std::to_string(kEnoughMappings)));
}

}  // namespace

int Doctor(const std::vector<std::string>& arguments) {
  std::string place = "/var/tmp";
  if (arguments.size() == 2 && arguments[0] == "--page-file") {
    place = arguments[1];
  } else if (!arguments.empty()) {
    return ComplainOfUsage("doctor", "it takes --page-file PLACE and nothing else");
  }
  Table table;
  const std::string library = FindPreloadLibrary();
  table.Add("preload library", !library.empty(), Need::kNecessary,
            library.empty() ? "install it beside this tool" : library);
  LookAtUserfaultfd(&table);
  LookAtRing(&table);
  LookAtPageFile(place, &table);
  LookAtLimits(&table);
  std::cout << (table.works() ? "userpager run works here.\n"
                              : "userpager run does not work here: see what is MISSING.\n");
  return table.works() ? 0 : 1;
}

}  // namespace userpager::cli
