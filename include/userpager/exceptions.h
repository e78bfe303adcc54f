/* Vectored exception handlers for Linux: what the processor and the pager find wrong with an access
 * to memory, told to functions of the program that may repair it, with Windows' names and rules.
 * Included by <userpager/virtual_alloc.h>.
 *
 *   EXCEPTION_ACCESS_VIOLATION  an access that the memory does not allow; any memory of the
 *                               process, managed or not. ExceptionInformation[0]:
 *                               EXCEPTION_READ_FAULT, EXCEPTION_WRITE_FAULT or
 *                               EXCEPTION_EXECUTE_FAULT; [1]: the address, or all ones where the
 *                               processor does not tell it
 *   EXCEPTION_GUARD_PAGE        an access to a page with PAGE_GUARD, which has ended by then, so
 *                               that repeating the access works; information as above
 *   EXCEPTION_IN_PAGE_ERROR     the page file could not give the page back; information as above,
 *                               and [2]: the NTSTATUS, STATUS_IO_DEVICE_ERROR or STATUS_CRC_ERROR
 *
 * How it works with signals. The first AddVectoredExceptionHandler, and the first PAGE_GUARD, put
 * a handler of the library before SIGSEGV and SIGBUS, and the program's own behind it: the one that
 * was there, and whatever sigaction() or signal() set later (the library has these two functions,
 * and __sysv_signal(), for these two signals, and tells of the program's own action alone). What no
 * vectored handler takes goes on to the program's handler with the kernel's siginfo_t and
 * ucontext_t, with its mask and flags, or ends the process where it has none. Signals that were
 * sent (kill, raise), and SIGBUS for memory that is not managed, go to the program's handler at
 * once. A handler that is set by a raw system call takes the library's place: guards then stay.
 *
 * One access, one exception. Of many threads that touch a guard page at once exactly one gets the
 * exception. A system call that touches it fails with EFAULT and ends the guard, where system calls
 * may touch managed memory at all (kernel_mode_faults of userpager_stats). Where a system call and
 * a thread touch it at the very same moment, both may be told. While a thread blocks SIGSEGV, its
 * system calls leave guards where they are.
 *
 * The rules are Microsoft's: learn.microsoft.com/windows/win32/debug/vectored-exception-handling
 * and learn.microsoft.com/windows/win32/memory/creating-guard-pages.
 */
#ifndef USERPAGER_EXCEPTIONS_H_
#define USERPAGER_EXCEPTIONS_H_

#include <ucontext.h>
#include <userpager/virtual_alloc.h>

#ifndef USERPAGER_NO_WINDOWS_TYPES
typedef int32_t LONG;
typedef uint32_t ULONG;

#define EXCEPTION_MAXIMUM_PARAMETERS 15

/* What happened; the layout of 64-bit Windows ("EXCEPTION_RECORD structure (winnt.h)",
 * learn.microsoft.com/windows/win32/api/winnt/ns-winnt-exception_record). */
typedef struct EXCEPTION_RECORD {
  DWORD ExceptionCode;
  DWORD ExceptionFlags;                     /* 0: the thread may go on */
  struct EXCEPTION_RECORD* ExceptionRecord; /* NULL */
  PVOID ExceptionAddress;                   /* of the instruction */
  DWORD NumberParameters;
  ULONG_PTR ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} EXCEPTION_RECORD, *PEXCEPTION_RECORD;

/* The thread's registers and signal mask: Linux' own ucontext_t (sigaction(2)), not Windows'
 * CONTEXT. What a handler changes in it takes effect where it returns
 * EXCEPTION_CONTINUE_EXECUTION. */
typedef ucontext_t CONTEXT, *PCONTEXT;

/* What a handler gets; valid until it returns ("EXCEPTION_POINTERS structure (winnt.h)",
 * learn.microsoft.com/windows/win32/api/winnt/ns-winnt-exception_pointers). */
typedef struct EXCEPTION_POINTERS {
  PEXCEPTION_RECORD ExceptionRecord;
  PCONTEXT ContextRecord;
} EXCEPTION_POINTERS, *PEXCEPTION_POINTERS;

typedef LONG (*PVECTORED_EXCEPTION_HANDLER)(PEXCEPTION_POINTERS ExceptionInfo);
#endif

static_assert(sizeof(EXCEPTION_RECORD) == 152, "Windows' layout");
static_assert(offsetof(EXCEPTION_RECORD, ExceptionAddress) == 16, "Windows' layout");
static_assert(offsetof(EXCEPTION_RECORD, ExceptionInformation) == 32, "Windows' layout");

/* Exception codes and NTSTATUS values ("GetExceptionCode macro",
 * learn.microsoft.com/windows/win32/debug/getexceptioncode; [MS-ERREF] 2.3.1). */
#ifndef EXCEPTION_ACCESS_VIOLATION
#define EXCEPTION_ACCESS_VIOLATION ((DWORD)0xC0000005)
#endif
#ifndef EXCEPTION_GUARD_PAGE
#define EXCEPTION_GUARD_PAGE ((DWORD)0x80000001)
#endif
#ifndef EXCEPTION_IN_PAGE_ERROR
#define EXCEPTION_IN_PAGE_ERROR ((DWORD)0xC0000006)
#endif
#ifndef STATUS_CRC_ERROR
#define STATUS_CRC_ERROR ((DWORD)0xC000003F)
#endif
#ifndef STATUS_IO_DEVICE_ERROR
#define STATUS_IO_DEVICE_ERROR ((DWORD)0xC0000185)
#endif

/* ExceptionInformation[0]. */
#ifndef EXCEPTION_READ_FAULT
#define EXCEPTION_READ_FAULT 0
#endif
#ifndef EXCEPTION_WRITE_FAULT
#define EXCEPTION_WRITE_FAULT 1
#endif
#ifndef EXCEPTION_EXECUTE_FAULT
#define EXCEPTION_EXECUTE_FAULT 8
#endif

/* What a handler returns. */
#ifndef EXCEPTION_CONTINUE_EXECUTION
#define EXCEPTION_CONTINUE_EXECUTION (-1)
#endif
#ifndef EXCEPTION_CONTINUE_SEARCH
#define EXCEPTION_CONTINUE_SEARCH 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Adds a handler to the list of those that every exception of the process is shown to, one after
 * the other, until one returns EXCEPTION_CONTINUE_EXECUTION: then the access is repeated. Any other
 * value means EXCEPTION_CONTINUE_SEARCH.
 *
 * First    Nonzero: before all others; 0: behind them. A handler may be added more than once.
 * Handler  Called in the thread that made the access, as a signal handler is: on the thread's
 *          alternate signal stack if it has one, and restricted as signal-safety(7) says where the
 *          access was made inside a function that is not async-signal-safe. It may call every
 *          function of this library, touch managed memory, and cause exceptions of its own.
 *
 * Returns a handle for RemoveVectoredExceptionHandler, or NULL: ERROR_INVALID_PARAMETER (Handler is
 * NULL), ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_SUPPORTED. Does not start the pager.
 *
 * Source: "AddVectoredExceptionHandler function (errhandlingapi.h)", at
 * learn.microsoft.com/windows/win32/api/errhandlingapi/ */
USERPAGER_API PVOID AddVectoredExceptionHandler(ULONG First, PVECTORED_EXCEPTION_HANDLER Handler);

/* Takes a handler out of the list, also from within a handler. A call of it that another thread has
 * begun may still be under way when this returns.
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (not a handle, or removed before),
 * ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_SUPPORTED.
 *
 * Source: "RemoveVectoredExceptionHandler function (errhandlingapi.h)", at
 * learn.microsoft.com/windows/win32/api/errhandlingapi/ */
USERPAGER_API ULONG RemoveVectoredExceptionHandler(PVOID Handle);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_EXCEPTIONS_H_ */
