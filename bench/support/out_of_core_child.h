// What a child of out_of_core_bench does: one workload on one backend.
#ifndef USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_CHILD_H_
#define USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_CHILD_H_

#include "bench/support/out_of_core_options.h"

namespace userpager::bench {

// Ends the program where something fails.
Metrics RunOnBackend(const OutOfCoreOptions& options, Backend backend, Workload workload);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_CHILD_H_
