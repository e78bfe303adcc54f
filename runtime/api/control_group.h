// Control groups (versions 1 and 2), as far as a process sees its own and those above it: read from
// /proc and the mounted cgroup file systems, without stdio or malloc. Sources: proc(5), cgroups(7)
// and the kernel's Documentation/admin-guide/cgroup-v2.rst.
#ifndef USERPAGER_API_CONTROL_GROUP_H_
#define USERPAGER_API_CONTROL_GROUP_H_

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace userpager {

// A path built piece by piece; one that grows too long names nothing.
class Path {
 public:
  Path& Append(std::string_view text);
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

// The number at the front of the text; nullopt where there is none.
std::optional<uint64_t> NumberIn(std::string_view text);

enum class GroupVersion { kOne, kTwo };

// Where the process's group in the hierarchy of that version (of version 1, the one that has the
// controller) is seen, and how much of that path is the mount point. `root` is where /proc and the
// mount points are looked up: "", or a test's directory. False where there is no such hierarchy.
bool FindGroupDirectory(const char* root, GroupVersion version, std::string_view controller,
                        Path* directory, size_t* top);

// Calls look with the first line of that file in the process's group, and in each above it that the
// mount shows.
template <typename Look>
void ForEachGroup(const char* root, GroupVersion version, std::string_view controller,
                  std::string_view file, Look look) {
  Path directory;
  size_t top = 0;
  if (!FindGroupDirectory(root, version, controller, &directory, &top)) return;
  for (;;) {
    const size_t length = directory.length();
    {
      LineReader lines(directory.Append("/").Append(file).c_str());
      if (const auto line = lines.Next()) look(*line);
    }
    if (length <= top) return;
    directory.CutTo(std::max(top, directory.text().substr(0, length).rfind('/')));
  }
}

}  // namespace userpager

#endif  // USERPAGER_API_CONTROL_GROUP_H_
