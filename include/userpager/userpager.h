/* userpager: memory that is larger than memory. Start, options and statistics of the pager; the
 * memory itself comes from <userpager/virtual_alloc.h>, or in C++ from <userpager/memory.hpp>.
 *
 * C11 and C++. All functions are thread-safe. There is one pager a process. It runs until the
 * process ends: nothing stops it earlier, and nothing of it is taken down at exit() while other
 * threads may still touch the memory. libuserpager.so is never unloaded. A child made by fork() has
 * no pager and none of the memory; vfork() and posix_spawn() are not affected.
 */
#ifndef USERPAGER_USERPAGER_H_
#define USERPAGER_USERPAGER_H_

#include <stdint.h>

#ifndef USERPAGER_API
#define USERPAGER_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns that fails. userpager_error_message() has the line for people. */
typedef enum userpager_error {
  USERPAGER_ERROR_INVALID_OPTION = -1,   /* an unknown key, a bad value, a bad struct_bytes */
  USERPAGER_ERROR_NO_USERFAULTFD = -2,   /* the kernel or the process's rights do not give one */
  USERPAGER_ERROR_NO_IO_URING = -3,      /* io:uring, and it is forbidden or missing */
  USERPAGER_ERROR_PAGE_FILE = -4,        /* cannot be opened, made or used */
  USERPAGER_ERROR_PAGE_FILE_IN_USE = -5, /* by another process */
  USERPAGER_ERROR_NO_SPACE = -6,         /* no disk space for the page file */
  USERPAGER_ERROR_MEMORY_LIMIT = -7,     /* below the smallest that works, or above the
                                          * machine's memory */
  USERPAGER_ERROR_ALREADY_STARTED = -8,  /* by an earlier start or a first VirtualAlloc */
  USERPAGER_ERROR_NOT_STARTED = -9,      /* nothing to set or to count yet */
  USERPAGER_ERROR_NO_MEMORY = -10,       /* the kernel has no memory or threads for the pager */
  USERPAGER_ERROR_BUSY = -11,            /* locked or pinned pages stand against it */
  USERPAGER_ERROR_AFTER_FORK = -12,      /* this process is a child without a pager */
  USERPAGER_ERROR_BAD_RANGE = -13,       /* not committed, not allowed by the protection, or not
                                          * held */
  USERPAGER_ERROR_PAGE_LOST = -14        /* the page file failed to give a page back */
} userpager_error;

typedef enum userpager_commit_mode {
  /* Committing takes a promise: where memory and page file cannot hold the pages, it fails. */
  USERPAGER_COMMIT_STRICT = 0,
  /* Committing is counted but never refused; the page file grows with it as far as it can. Where
   * in the end a page fits neither into memory nor into the page file, the pager says so and ends
   * the process. */
  USERPAGER_COMMIT_LAZY = 1
} userpager_commit_mode;

typedef enum userpager_io_engine {
  USERPAGER_IO_URING = 0,   /* io_uring; a start where it is forbidden fails */
  USERPAGER_IO_THREADS = 1, /* reads and writes on threads of the pager */
  /* io_uring; where it is forbidden, a line on standard error says so and why, and threads do its
   * work. The default. */
  USERPAGER_IO_AUTO = 2
} userpager_io_engine;

typedef enum userpager_move_mode {
  USERPAGER_MOVE_AUTO = 0, /* UFFDIO_MOVE where the kernel has it (6.8) */
  USERPAGER_MOVE_OFF = 1   /* write-protect, write, drop, as on older kernels */
} userpager_move_mode;

typedef enum userpager_fault_mode {
  /* The pager's threads answer page faults. */
  USERPAGER_FAULTS_THREAD = 0,
  /* Each thread answers its own, in a handler of SIGBUS, at about half the cost. In exchange:
   * - A system call that is given a page that is out, or one to write to that is clean, fails with
   *   EFAULT, whatever rights the process has; userpager_hold() keeps a buffer in for one.
   * - SIGBUS may not be blocked where managed memory is touched (the kernel ends a process that
   *   faults with it blocked), also not by the masks of other signals' handlers.
   * - The program's own SIGBUS handler, whenever it is set by sigaction() or signal(), gets what is
   *   not the pager's, lost pages among it. One set by the raw system call takes the pager's place.
   * - A thread whose stack is managed memory has an alternate signal stack (sigaltstack()) that is
   *   not. */
  USERPAGER_FAULTS_INLINE = 1
} userpager_fault_mode;

/* What of the kernel's newer features is not used although it is there: as on kernels that lack it,
 * for tests and comparisons. Nothing but speed depends on any of them. */
typedef enum userpager_feature {
  USERPAGER_FEATURE_MOVE = 1,            /* UFFDIO_MOVE (6.8); as move:off */
  USERPAGER_FEATURE_POISON = 2,          /* UFFDIO_POISON (6.6) */
  USERPAGER_FEATURE_GUARD = 4,           /* MADV_GUARD_INSTALL (6.13) */
  USERPAGER_FEATURE_DISCARD_VECTOR = 8,  /* process_madvise(MADV_DONTNEED) on oneself (6.13) */
  USERPAGER_FEATURE_THREAD_ID = 16,      /* messages of faults name their threads (4.14) */
  USERPAGER_FEATURE_EXACT_ADDRESS = 32,  /* they have the unmasked address (5.18) */
  USERPAGER_FEATURE_WIDE_PROTECT = 64,   /* UFFDIO_WRITEPROTECT over several mappings (6.4) */
  USERPAGER_FEATURE_ALL = 127
} userpager_feature;

/* Whether what is in the page file can be read by whoever gets at the file or its disk. */
typedef enum userpager_encryption {
  USERPAGER_ENCRYPT_OFF = 0,
  /* AES-256 in XTS mode, through OpenSSL's libcrypto.so.3, which is loaded at the start alone, and
   * which the program must not have used before. The key is made at the start, never written
   * anywhere, locked in memory and left out of core files; it ends with the process. */
  USERPAGER_ENCRYPT_AES_XTS = 1
} userpager_encryption;

/* What becomes of the disk space of the page file that holds no page any more. */
typedef enum userpager_discard_mode {
  USERPAGER_DISCARD_OFF = 0, /* it stays the page file's, for the next pages */
  /* It is given back to the file system (holes are punched into the file; a block device is told by
   * BLKDISCARD), in runs of 256 KiB or more, by a thread of its own, once a second. What has been
   * promised keeps its disk space, and so do 64 MiB more. Where more is promised again, it is taken
   * again first. Where the file system or device cannot, a line on standard error says so, once,
   * and it is as USERPAGER_DISCARD_OFF. */
  USERPAGER_DISCARD_ON = 1
} userpager_discard_mode;

/* Which page leaves memory when another one needs its place. */
typedef enum userpager_policy {
  USERPAGER_POLICY_ADAPTIVE = 0, /* pages that are used again and again stay, through scans too */
  USERPAGER_POLICY_FIFO = 1,     /* the one that came first; for comparison */
  USERPAGER_POLICY_CLOCK = 2     /* the one that came first and was not touched on its way out; for
                                  * comparison */
} userpager_policy;

/* Whether what will answer the next page fault stays awake for a moment after each one: the pager's
 * thread looks for it without sleeping, and leaves off where others want its CPU; or it sleeps, and
 * CPUs are kept from halting by threads that run only where nothing else would (SCHED_IDLE). On a
 * machine of one or two CPUs a request to the kernel does that, beside either, where
 * /dev/cpu_dma_latency may be opened for writing (Linux,
 * Documentation/power/pm_qos_interface.rst). On virtual machines a CPU that was idle may take
 * longer to come back than all else in a page fault. */
typedef enum userpager_polling {
  /* Where it was measured to make the program faster, and not where the process's cgroup may only
   * use so much processor time in each period. But for the request, the process is then seen to use
   * its CPUs while it waits for the disk. */
  USERPAGER_POLLING_AUTO = 0,
  USERPAGER_POLLING_OFF = 1 /* never */
} userpager_polling;

/* Whether other processes of the same user, and root's, can look at the statistics while this one
 * runs, and ask for another memory limit (userpager stat, top and limit). */
typedef enum userpager_stats_page {
  /* The counters stand in memory that others may read, a file of mode 0600 in /dev/shm (where that
   * cannot be written, in the directory that XDG_RUNTIME_DIR names) tells where, and a thread waits
   * for requests. No call fails where that cannot be had; a line on standard error says so. */
  USERPAGER_STATS_PAGE_ON = 0,
  USERPAGER_STATS_PAGE_OFF = 1 /* nothing of it */
} userpager_stats_page;

typedef enum userpager_memory_mode {
  /* The memory limit is what it was set to. */
  USERPAGER_MEMORY_FIXED = 0,
  /* It begins there and then follows what this machine and the process's cgroups can spare: down
   * where they allow less than before, or where programs wait for memory (the kernel's pressure
   * stall information); up, slowly, while they do not, at most to three quarters of what is
   * allowed. A line on standard error tells of each change. Whoever sets a limit
   * (userpager_set_memory_limit(), userpager limit) ends that. */
  USERPAGER_MEMORY_AUTO = 1
} userpager_memory_mode;

/* Bytes that a page file's path may have, its zero byte included. */
#define USERPAGER_PATH_BYTES 4096

/* What userpager_start() takes. userpager_options_init() fills it; then change what should differ.
 * The layout stays: later options take their room from `reserved`. */
typedef struct userpager_options {
  /* sizeof(userpager_options). */
  uint32_t struct_bytes;
  /* Pagers, each with a thread of its own; 1 to 64. Default 1. */
  uint32_t shards;
  /* The most memory that pages and the pager's buffers take together, never exceeded; rounded down
   * to 4 KiB. 0, the default: half of what the machine has or the process's cgroups allow. */
  uint64_t memory_limit_bytes;
  /* The most that the page file may grow to; rounded down to 4 KiB. 0, the default: four times the
   * memory limit, but at most three quarters of the space that is free on its file system at start
   * (for a block device its size). */
  uint64_t page_file_max_bytes;
  userpager_commit_mode commit;
  userpager_io_engine io;
  userpager_move_mode move;
  userpager_policy policy;
  /* A directory, in which an unnamed file is made; or a file, which is empty or was a page file
   * before; or a block device. It exists: nothing is made under a name that may be mistyped.
   * Default "/var/tmp". */
  char page_file[USERPAGER_PATH_BYTES];
  userpager_fault_mode faults;
  userpager_stats_page stats_page;
  userpager_encryption encrypt;
  userpager_memory_mode memory_mode;
  uint64_t without;       /* userpager_feature values, joined by |; default 0 */
  userpager_polling polling;
  userpager_discard_mode discard;
  uint64_t reserved[12];  /* 0 */
} userpager_options;

/* Sets every option to its default. Never fails, starts nothing. */
USERPAGER_API void userpager_options_init(userpager_options* options);

/* Reads options from text, in the form of the environment variable USERPAGER_CONF:
 *
 *   memory:256M,page_file:/var/tmp,page_file_max:8G,shards:1,commit:strict,io:auto,move:auto,
 *   faults:thread,policy:adaptive,polling:auto,stats_page:on,encrypt:off,discard:off
 *
 * memory, page_file_max  bytes, or with K, M, G, T (powers of 1024), or with % of the memory that
 *                        the machine has or the process's cgroups allow; memory at most 100%.
 *                        memory:auto is USERPAGER_MEMORY_AUTO, from the default limit on
 * page_file              a path without a comma
 * shards                 1 to 64
 * commit                 strict, lazy
 * io                     auto, uring, threads
 * move                   auto, off
 * faults                 thread, inline
 * policy                 adaptive, fifo, clock
 * polling                auto, off
 * stats_page             on, off
 * encrypt                off, aes-xts
 * discard                off, on
 * without                names of features joined by +: move, poison, guard, discard_vector,
 *                        thread_id, exact_address, wide_protect; or all, or none
 *
 * Keys may come in any order, each once; what is not named keeps its value in `options`, which
 * userpager_options_init() has filled. Text that is empty names nothing. Returns 0, or
 * USERPAGER_ERROR_INVALID_OPTION with `options` unchanged and a message that names the fault. */
USERPAGER_API int userpager_options_parse(userpager_options* options, const char* text);

/* Starts the process's pager; records where USERPAGER_TRACE names a file. NULL: defaults, changed
 * by USERPAGER_CONF. A failed one leaves nothing, and may be tried again. Returns 0 or a
 * userpager_error. */
USERPAGER_API int userpager_start(const userpager_options* options);

/* The line that says what failed in the calling thread's last failing call of a function of this
 * header (or of the first VirtualAlloc, where that had to start the pager and could not): what, to
 * what, why, and what to do. "" if none did. Valid until the thread's next failing call. */
USERPAGER_API const char* userpager_error_message(void);

/* Changes the memory limit, up or down, and waits until the resident pages are within it. Bytes are
 * rounded down to 4 KiB. Returns 0, or, with the old limit kept: USERPAGER_ERROR_MEMORY_LIMIT
 * (below the smallest that works or above the machine's memory), USERPAGER_ERROR_BUSY (locked or
 * pinned pages are in the way, or another change is under way), USERPAGER_ERROR_NO_SPACE (strict
 * commit, and the page file cannot grow to keep what is committed), USERPAGER_ERROR_NOT_STARTED,
 * USERPAGER_ERROR_AFTER_FORK. */
USERPAGER_API int userpager_set_memory_limit(uint64_t bytes);

/* What a system call does with memory that is held for it. */
typedef enum userpager_hold_use {
  USERPAGER_HOLD_FOR_READING = 0, /* it reads from there, as write() does */
  USERPAGER_HOLD_FOR_WRITING = 1  /* it writes to there, as read() does, or both */
} userpager_hold_use;

/* Brings the pages that have a byte of [address, address + bytes) into memory and keeps them there,
 * so that a system call can use them where it would fail with EFAULT otherwise (faults:inline, or a
 * process without the right). Waits for the disk. Holds nest: each is ended by one
 * userpager_release() of the same range, and they have nothing to do with VirtualLock(). A page can
 * be held 255 times; all held and locked pages together may take about half of the memory limit.
 * What decommits a page or takes its access away ends its holds. Returns 0, or with nothing held
 * USERPAGER_ERROR_BAD_RANGE (not all of it committed, in one reservation, with a protection that
 * allows the use; or no bytes), USERPAGER_ERROR_BUSY (too much is held or locked),
 * USERPAGER_ERROR_PAGE_LOST, USERPAGER_ERROR_INVALID_OPTION (`use`), USERPAGER_ERROR_NO_MEMORY,
 * USERPAGER_ERROR_NOT_STARTED, USERPAGER_ERROR_AFTER_FORK. */
USERPAGER_API int userpager_hold(const void* address, uint64_t bytes, userpager_hold_use use);

/* Ends one hold of each of the pages. Returns 0, or USERPAGER_ERROR_BAD_RANGE (some were not held;
 * those that were are released all the same), USERPAGER_ERROR_NOT_STARTED,
 * USERPAGER_ERROR_NO_MEMORY, USERPAGER_ERROR_AFTER_FORK. */
USERPAGER_API int userpager_release(const void* address, uint64_t bytes);

/* How long faults of one kind took to be answered, from the kernel's message to the answer. A
 * percentile is at most 6.25% above the true value; 0 where nothing was counted. */
typedef struct userpager_latency {
  uint64_t count;
  uint64_t p50_ns;
  uint64_t p99_ns;
  uint64_t p999_ns; /* 99.9% */
  uint64_t max_ns;
} userpager_latency;

/* Everything is counted since the start. Each number is exact; they are not all of one instant. */
typedef struct userpager_stats {
  uint32_t struct_bytes; /* sizeof(userpager_stats), set by the caller */
  uint32_t shards;
  userpager_commit_mode commit;
  userpager_io_engine io;      /* what does it: USERPAGER_IO_URING or USERPAGER_IO_THREADS */
  uint32_t uses_move;          /* 1: pages leave by UFFDIO_MOVE */
  uint32_t kernel_mode_faults; /* 1: system calls may touch pages that are out; 0: they fail with
                                * EFAULT, as the process lacks the right or faults inline */

  /* Faults that were answered, by kind. */
  uint64_t demand_zero_faults;   /* first touch */
  uint64_t soft_faults;          /* the page was still in memory */
  uint64_t hard_faults;          /* the page had to be read */
  uint64_t write_protect_faults; /* the first write to a page that was clean */
  uint64_t access_violations;    /* not committed, or forbidden by the protection */
  uint64_t queued_faults;        /* that had to wait for memory */
  uint64_t stale_messages;       /* of the kernel, about pages that needed nothing any more */

  /* Pages and the page file. */
  uint64_t pages_in;            /* read and installed */
  uint64_t pages_out;           /* written */
  uint64_t file_reads;          /* requests */
  uint64_t file_writes;
  uint64_t file_read_bytes;
  uint64_t file_write_bytes;
  uint64_t file_read_errors;    /* failed, came short or failed their checksum */
  uint64_t file_write_errors;
  uint64_t ahead_pages;         /* read ahead of demand */
  uint64_t ahead_pages_used;    /* of these, known to have been used */
  uint64_t zero_pages_dropped;  /* paged out as zeros, without a write */
  uint64_t clean_pages_dropped; /* left memory without a write, as the page file had them */
  uint64_t pinned_pages;        /* times that a page could not leave as something pinned it */
  uint64_t lost_pages;          /* that the page file failed to give back */

  /* Memory, in bytes. */
  uint64_t memory_limit_bytes;
  uint64_t resident_bytes; /* charged to the limit now: pages, parked pages and buffers */
  uint64_t resident_bytes_peak;
  uint64_t commit_bytes;       /* committed now */
  uint64_t commit_limit_bytes; /* the most that can be promised, the page file fully grown */
  uint64_t commit_bytes_peak;
  uint64_t page_file_used_bytes;
  uint64_t page_file_allocated_bytes; /* with disk space of its own */
  uint64_t page_file_max_bytes;

  userpager_latency demand_zero_latency;
  userpager_latency soft_latency;
  userpager_latency hard_latency;
  userpager_latency write_protect_latency;

  uint64_t page_file_discarded_bytes; /* whose disk space was given back, each time counted
                                       * (USERPAGER_DISCARD_ON) */
  /* The longest that any fault has waited, of all kinds: from the kernel's message, or from when
   * its thread began to answer it (faults:inline), to the answer. With the faults that the
   * latencies leave out: those that waited for a page that was being read already, and those whose
   * page was lost. */
  uint64_t fault_longest_wait_ns;
} userpager_stats;

/* Fills the struct_bytes bytes of `stats`: a multiple of 8, at least 8. What lies beyond what the
 * library knows is set to 0; struct_bytes itself stays. Returns 0, or
 * USERPAGER_ERROR_INVALID_OPTION (struct_bytes), USERPAGER_ERROR_NOT_STARTED,
 * USERPAGER_ERROR_NO_MEMORY, USERPAGER_ERROR_AFTER_FORK. Starts nothing. */
USERPAGER_API int userpager_get_stats(userpager_stats* stats);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_USERPAGER_H_ */
