#include "runtime/api/machine_memory.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace userpager {
namespace {

// A path built piece by piece; one that grows too long names nothing.
class Path {
 public:
  Path& Append(std::string_view text) {
    if (text.size() >= sizeof text_ - length_) {
      too_long_ = true;
      return *this;
    }
    std::copy(text.begin(), text.end(), text_ + length_);
    length_ += text.size();
    text_[length_] = '\0';
    return *this;
  }
  void CutTo(size_t length) {
    length_ = length;
    text_[length_] = '\0';
  }
  size_t length() const { return length_; }
  std::string_view text() const { return {text_, length_}; }
  const char* c_str() const { return too_long_ ? "" : text_; }

 private:
  char text_[PATH_MAX] = {};
  size_t length_ = 0;
  bool too_long_ = false;
};

// The lines of a file, one after the other. The rest of a line that does not fit is left out.
class LineReader {
 public:
  explicit LineReader(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC)) {}
  ~LineReader() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  std::optional<std::string_view> Next() {
    std::copy(buffer_ + next_, buffer_ + end_, buffer_);
    end_ -= next_;
    next_ = 0;
    bool at_end = !Fill();
    std::string_view all(buffer_, end_);
    if (all.empty()) return std::nullopt;
    const size_t line_end = all.find('\n');
    if (line_end != all.npos) {
      next_ = line_end + 1;
      return all.substr(0, line_end);
    }
    next_ = end_;
    if (!at_end) skipping_ = true;
    return all;
  }

 private:
  // Reads until the buffer is full or the file ends; false at the end.
  bool Fill() {
    while (descriptor_ >= 0 && end_ < sizeof buffer_) {
      const ssize_t got = read(descriptor_, buffer_ + end_, sizeof buffer_ - end_);
      if (got <= 0) return false;
      end_ += static_cast<size_t>(got);
      if (skipping_) SkipRest();
    }
    return descriptor_ >= 0;
  }
  void SkipRest() {
    const std::string_view all(buffer_, end_);
    const size_t line_end = all.find('\n');
    const size_t skipped = line_end == all.npos ? end_ : line_end + 1;
    std::copy(buffer_ + skipped, buffer_ + end_, buffer_);
    end_ -= skipped;
    skipping_ = line_end == all.npos;
  }

  const int descriptor_;
  char buffer_[4096];
  size_t next_ = 0;
  size_t end_ = 0;
  bool skipping_ = false;
};

// Takes the text up to `separator` off the front of `text`.
std::string_view TakeField(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view field = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return field;
}

bool HasField(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    if (TakeField(&list, ',') == wanted) return true;
  }
  return false;
}

std::optional<uint64_t> NumberIn(std::string_view text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

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

enum class Version { kOne, kTwo };

// The process's group in the hierarchy that limits memory, as /proc/self/cgroup names it.
bool FindGroup(const char* root, Version version, Path* group) {
  LineReader lines(Path().Append(root).Append("/proc/self/cgroup").c_str());
  while (const auto line = lines.Next()) {
    std::string_view rest = *line;
    const std::string_view hierarchy = TakeField(&rest, ':');
    const std::string_view controllers = TakeField(&rest, ':');
    const bool found = version == Version::kTwo ? hierarchy == "0" && controllers.empty()
                                                : HasField(controllers, "memory");
    if (!found) continue;
    group->Append(rest);
    return true;
  }
  return false;
}

// Where that hierarchy is mounted, and which of its groups is seen there. Fields of a line of
// /proc/self/mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type,
// source, options of the file system.
bool FindMount(const char* root, Version version, Path* mount_root, Path* mount_point) {
  LineReader lines(Path().Append(root).Append("/proc/self/mountinfo").c_str());
  while (const auto line = lines.Next()) {
    std::string_view rest = *line;
    for (int i = 0; i < 3; ++i) TakeField(&rest, ' ');
    const std::string_view seen_root = TakeField(&rest, ' ');
    const std::string_view seen_point = TakeField(&rest, ' ');
    const size_t separator = rest.find(" - ");
    if (separator == rest.npos) continue;
    rest.remove_prefix(separator + 3);
    const std::string_view type = TakeField(&rest, ' ');
    TakeField(&rest, ' ');
    const bool found = version == Version::kTwo ? type == "cgroup2"
                                                : type == "cgroup" && HasField(rest, "memory");
    if (!found) continue;
    mount_root->Append(seen_root);
    mount_point->Append(root).Append(seen_point);
    return true;
  }
  return false;
}

// Where the group is seen, and how much of that path is the mount point.
bool FindDirectory(const char* root, Version version, Path* directory, size_t* top) {
  Path group;
  Path mount_root;
  if (!FindGroup(root, version, &group)) return false;
  if (!FindMount(root, version, &mount_root, directory)) return false;
  *top = directory->length();
  std::string_view below = group.text();
  // A container's mount may show a part of the tree: then the path counts from there. A group
  // outside of it cannot be seen, and the top of what can be is the best that is known.
  if (mount_root.text() != "/") {
    below = below.starts_with(mount_root.text()) ? below.substr(mount_root.length()) : "";
  }
  if (below != "/" && !below.starts_with("/..")) directory->Append(below);
  return true;
}

// The smallest limit of the group and those above it, as far up as the mount shows; UINT64_MAX
// where there is none.
uint64_t ReadGroupLimit(const char* root, Version version) {
  Path directory;
  size_t top = 0;
  if (!FindDirectory(root, version, &directory, &top)) return UINT64_MAX;
  uint64_t smallest = UINT64_MAX;
  for (;;) {
    const size_t length = directory.length();
    directory.Append(version == Version::kTwo ? "/memory.max" : "/memory.limit_in_bytes");
    LineReader lines(directory.c_str());
    // "max" is no number, and so no limit.
    if (const auto line = lines.Next()) {
      smallest = std::min(smallest, NumberIn(*line).value_or(UINT64_MAX));
    }
    if (length <= top) return smallest;
    directory.CutTo(std::max(top, directory.text().substr(0, length).rfind('/')));
  }
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
  if (FindDirectory(root, Version::kTwo, &directory, &top) && directory.length() > top) {
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
  memory.allowed_bytes = std::min({memory.total_bytes, ReadGroupLimit(root, Version::kTwo),
                                   ReadGroupLimit(root, Version::kOne)});
  return memory;
}

}  // namespace userpager
