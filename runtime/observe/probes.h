// Probes: places that a tracer (bpftrace, perf, gdb, systemtap) can hook into while the program
// runs, at the cost of one no-op instruction each while none does. They are there where the library
// was built with <sys/sdt.h> at hand (Debian: systemtap-sdt-dev), under the provider "userpager":
//
//   fault_begin(address, thread_id, is_write)   a fault was seen
//   fault_end(address, kind, latency_ns)        it was answered; kind as FaultKind, 0 to 3
//   page_in(address, pages)                     pages were read and installed
//   page_out(address, pages)                    pages were written to the page file
//
//   bpftrace -e 'usdt:/path/libuserpager_preload.so:userpager:fault_end
//                { @[arg1] = hist(arg2); }' -p PID
#ifndef USERPAGER_OBSERVE_PROBES_H_
#define USERPAGER_OBSERVE_PROBES_H_

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define USERPAGER_PROBE2(name, a, b) DTRACE_PROBE2(userpager, name, a, b)
#define USERPAGER_PROBE3(name, a, b, c) DTRACE_PROBE3(userpager, name, a, b, c)
#else
#define USERPAGER_PROBE2(name, a, b) static_cast<void>(0)
#define USERPAGER_PROBE3(name, a, b, c) static_cast<void>(0)
#endif

#endif  // USERPAGER_OBSERVE_PROBES_H_
