#include "runtime/api/control_group.h"

#include <charconv>

namespace userpager {
namespace {

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

// The process's group in the hierarchy that has the controller, as /proc/self/cgroup names it.
bool FindGroup(const char* root, GroupVersion version, std::string_view controller, Path* group) {
  LineReader lines(Path().Append(root).Append("/proc/self/cgroup").c_str());
  while (const auto line = lines.Next()) {
    std::string_view rest = *line;
    const std::string_view hierarchy = TakeField(&rest, ':');
    const std::string_view controllers = TakeField(&rest, ':');
    const bool found = version == GroupVersion::kTwo
                           ? hierarchy == "0" && controllers.empty()
                           : HasField(controllers, controller);
    if (!found) continue;
    group->Append(rest);
    return true;
  }
  return false;
}

// Where that hierarchy is mounted, and which of its groups is seen there. Fields of a line of
// /proc/self/mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type,
// source, options of the file system.
bool FindMount(const char* root, GroupVersion version, std::string_view controller,
               Path* mount_root, Path* mount_point) {
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
    const bool found = version == GroupVersion::kTwo
                           ? type == "cgroup2"
                           : type == "cgroup" && HasField(rest, controller);
    if (!found) continue;
    mount_root->Append(seen_root);
    mount_point->Append(root).Append(seen_point);
    return true;
  }
  return false;
}

}  // namespace

Path& Path::Append(std::string_view text) {
  if (text.size() >= sizeof text_ - length_) {
    too_long_ = true;
    return *this;
  }
  std::copy(text.begin(), text.end(), text_ + length_);
  length_ += text.size();
  text_[length_] = '\0';
  return *this;
}

std::optional<uint64_t> NumberIn(std::string_view text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

bool FindGroupDirectory(const char* root, GroupVersion version, std::string_view controller,
                        Path* directory, size_t* top) {
  Path group;
  Path mount_root;
  if (!FindGroup(root, version, controller, &group)) return false;
  if (!FindMount(root, version, controller, &mount_root, directory)) return false;
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

}  // namespace userpager
