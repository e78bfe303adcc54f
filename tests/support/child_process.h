// Runs a piece of a test in a forked child, for what changes a process for good: its rights, its
// limits, its system calls.
#ifndef USERPAGER_TESTS_SUPPORT_CHILD_PROCESS_H_
#define USERPAGER_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <cstdint>
#include <functional>
#include <string>

namespace userpager {

// Calls `body` in a child. It returns "" for success, else what is wrong; so does this function,
// also where the child was killed.
std::string InChild(const std::function<std::string()>& body);

// From now on the calling process gets `error` from the system call. With a mask: only where the
// argument has all bits of the mask.
void RefuseSystemCall(long number, int error);
void RefuseSystemCall(long number, int error, unsigned argument, uint32_t mask);

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_CHILD_PROCESS_H_
