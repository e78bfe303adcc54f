// userpager doctor: what this machine, and this process on it, allow, and how what is missing can
// be given.
#ifndef USERPAGER_CLI_DOCTOR_H_
#define USERPAGER_CLI_DOCTOR_H_

#include <string>
#include <vector>

namespace userpager::cli {

// `arguments` are those after "doctor": nothing, or --page-file PLACE. Prints a table. Returns the
// exit status: 0 where `userpager run` would work, 1 where it would not, 2 for bad arguments.
int Doctor(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_DOCTOR_H_
