// userpager doctor: what this machine, and this process on it, allow, and how what is missing can
// be given.
#ifndef USERPAGER_CLI_DOCTOR_H_
#define USERPAGER_CLI_DOCTOR_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kDoctorHelp =
    "usage: userpager doctor [--page-file PLACE]\n"
    "  Shows, line by line, what userpager run needs of this machine, and how what is missing can\n"
    "  be given.\n"
    "\n"
    "options:\n"
    "  --page-file PLACE  where the page file is to be (default /var/tmp)\n"
    "\n"
    "exit status: 0 where userpager run works here, 1 where something necessary is missing, 2 for\n"
    "  bad options\n"
    "\n"
    "example:\n"
    "  userpager doctor --page-file /mnt/fast\n";

// `arguments` are those after "doctor": nothing, or --page-file PLACE. Prints a table. Returns the
// exit status: 0 where `userpager run` would work, 1 where it would not, 2 for bad arguments.
int Doctor(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_DOCTOR_H_
