#include "runtime/cli/device_rights.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace userpager::cli {
namespace {

constexpr const char* kDevice = "/dev/userfaultfd";
constexpr const char* kSysctl = "/proc/sys/vm/unprivileged_userfaultfd";
constexpr const char* kRule = "60-userpager.rules";
constexpr const char* kSysctlFile = "60-userpager.conf";

// As ls -l has them: root:userpager, mode 660.
std::string OwnersOf(const struct stat& status) {
  const passwd* user = getpwuid(status.st_uid);
  const group* members = getgrgid(status.st_gid);
  std::ostringstream text;
  text << (user != nullptr ? user->pw_name : std::to_string(status.st_uid)) << ':'
       << (members != nullptr ? members->gr_name : std::to_string(status.st_gid)) << ", mode "
       << std::oct << (status.st_mode & 0777);
  return text.str();
}

RightsLine Device() {
  struct stat status {};
  if (stat(kDevice, &status) != 0) {
    return {kDevice, false, "Linux 6.1 has it; its permissions give the right to a group"};
  }
  RightsLine line = {kDevice, access(kDevice, R_OK | W_OK) == 0, OwnersOf(status)};
  constexpr mode_t kForGroup = S_IRGRP | S_IWGRP;
  if ((status.st_mode & kForGroup) != kForGroup) {
    line.detail += "; " + AdministratorFile(kRule) + " says how a group gets it";
  } else if (!line.there) {
    line.detail += "; its members may use it: usermod --append --groups, as root";
  }
  return line;
}

RightsLine Sysctl() {
  const std::string name = "vm.unprivileged_userfaultfd";
  int value = -1;
  std::ifstream(kSysctl) >> value;
  if (value == 1) return {name, true, "1: every process may"};
  if (value == 0) {
    return {name, false, "0: by the device or by root; " + AdministratorFile(kSysctlFile) +
                             " is for kernels without the device"};
  }
  return {name, false, "this kernel does not have it"};
}

}  // namespace

std::string AdministratorFile(const std::string& name) {
  std::error_code error;
  const auto tool = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto installed = std::filesystem::canonical(
      tool.parent_path() / ".." / "share" / "userpager" / name, error);
  return error ? name : installed.string();
}

std::vector<RightsLine> DeviceRights() { return {Device(), Sysctl()}; }

}  // namespace userpager::cli
