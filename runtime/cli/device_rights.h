// DeviceRights: who may use userfaultfd for faults of system calls on this machine, by the device
// and by the sysctl, and which of the package's files changes that.
#ifndef USERPAGER_CLI_DEVICE_RIGHTS_H_
#define USERPAGER_CLI_DEVICE_RIGHTS_H_

#include <string>
#include <vector>

namespace userpager::cli {

struct RightsLine {
  std::string what;
  bool there = false;  // for this process
  std::string detail;
};

std::vector<RightsLine> DeviceRights();

// The path of a file that the package brings for the administrator, 60-userpager.rules or
// 60-userpager.conf; its name alone where it is not installed beside this tool.
std::string AdministratorFile(const std::string& name);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_DEVICE_RIGHTS_H_
