#include "runtime/api/machine_memory.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "runtime/api/control_group.h"

namespace userpager {
namespace {

// The bytes behind a label of /proc/meminfo; 0 where there is none.
uint64_t ReadMeminfo(const char* root, std::string_view label) {
  LineReader lines(Path().Append(root).Append("/proc/meminfo").c_str());
  while (const auto line = lines.Next()) {
    if (!line->starts_with(label)) continue;
    std::string_view rest = *line;
    rest.remove_prefix(label.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    return NumberIn(rest).value_or(0) * 1024;
  }
  return 0;
}

// The smallest limit of the group and those above it; UINT64_MAX where there is none.
uint64_t ReadGroupLimit(const char* root, GroupVersion version) {
  uint64_t smallest = UINT64_MAX;
  ForEachGroup(root, version, "memory",
               version == GroupVersion::kTwo ? "memory.max" : "memory.limit_in_bytes",
               [&](std::string_view line) {
                 // "max" is no number, and so no limit.
                 smallest = std::min(smallest, NumberIn(line).value_or(UINT64_MAX));
               });
  return smallest;
}

// How long some program waited for memory, from the first line of a file of the kernel's pressure
// stall information: "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345".
std::optional<uint64_t> ReadStalls(const char* path) {
  LineReader lines(path);
  const auto line = lines.Next();
  constexpr std::string_view kTotal = " total=";
  if (!line.has_value() || !line->starts_with("some ")) return std::nullopt;
  const size_t at = line->find(kTotal);
  if (at == line->npos) return std::nullopt;
  std::string_view total = *line;
  total.remove_prefix(at + kTotal.size());
  return NumberIn(total);
}

// Of the process's group, or, where that is not told, of the machine.
std::optional<uint64_t> ReadStallsHere(const char* root) {
  Path directory;
  size_t top = 0;
  if (FindGroupDirectory(root, GroupVersion::kTwo, "memory", &directory, &top) &&
      directory.length() > top) {
    const auto stalls = ReadStalls(directory.Append("/memory.pressure").c_str());
    if (stalls.has_value()) return stalls;
  }
  return ReadStalls(Path().Append(root).Append("/proc/pressure/memory").c_str());
}

}  // namespace

MachineLook LookAtMachine(const char* root) {
  const MachineMemory memory = MachineMemory::Read(root);
  const std::optional<uint64_t> stalls = ReadStallsHere(root);
  MachineLook look;
  look.allowed_bytes = memory.allowed_bytes;
  look.total_bytes = memory.total_bytes;
  look.available_bytes = ReadMeminfo(root, "MemAvailable:");
  look.stall_us = stalls.value_or(0);
  look.knows_stalls = stalls.has_value();
  return look;
}

MachineMemory MachineMemory::Read(const char* root) {
  MachineMemory memory;
  memory.total_bytes = ReadMeminfo(root, "MemTotal:");
  memory.allowed_bytes = std::min({memory.total_bytes, ReadGroupLimit(root, GroupVersion::kTwo),
                                   ReadGroupLimit(root, GroupVersion::kOne)});
  return memory;
}

}  // namespace userpager
