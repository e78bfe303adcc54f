// The memory cgroup that the kernel's rivals run in, of version 1 or 2, made by bench/run.sh.
#ifndef USERPAGER_BENCH_SUPPORT_MEMORY_CGROUP_H_
#define USERPAGER_BENCH_SUPPORT_MEMORY_CGROUP_H_

#include <cstdint>
#include <string>

namespace userpager::bench {

// Sets the limit of the memory, after what is left in an empty cgroup is thrown out. Returns "" or
// why the cgroup cannot be used.
std::string LimitMemoryCgroup(const std::string& directory, uint64_t bytes);
// Puts this process into it; ends the program where that fails.
void JoinMemoryCgroup(const std::string& directory);
// Why nothing can be swapped here; "" where it can.
std::string NoSwapReason();

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_MEMORY_CGROUP_H_
