// What of this machine's processors the process may use.
#ifndef USERPAGER_API_MACHINE_PROCESSORS_H_
#define USERPAGER_API_MACHINE_PROCESSORS_H_

namespace userpager {

// Whether the process's control group, or one above it, may only use so much processor time in each
// period (cgroup-v2.rst, cpu.max; sched-bwc.rst, cpu.cfs_quota_us): time that is spent waiting is
// lost there. `root` is where /proc and the cgroup mount points are looked up: "", or a test's
// directory. Needs about 20 KiB of stack.
bool HasProcessorQuota(const char* root);

}  // namespace userpager

#endif  // USERPAGER_API_MACHINE_PROCESSORS_H_
