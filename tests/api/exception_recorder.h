// A vectored exception handler that keeps what it is told, for tests of exceptions.
#ifndef USERPAGER_TESTS_API_EXCEPTION_RECORDER_H_
#define USERPAGER_TESTS_API_EXCEPTION_RECORDER_H_

#include <gtest/gtest.h>
#include <userpager/virtual_alloc.h>

#include <atomic>

namespace userpager_tests {

// While it lives, every exception of the process comes to it. One at a time.
class ExceptionRecorder {
 public:
  // Called in the thread of the exception, after it was kept; what it returns is the answer.
  using Repair = LONG (*)(const EXCEPTION_RECORD& record);
  static LONG GoOn(const EXCEPTION_RECORD&) { return EXCEPTION_CONTINUE_EXECUTION; }
  static LONG Search(const EXCEPTION_RECORD&) { return EXCEPTION_CONTINUE_SEARCH; }

  explicit ExceptionRecorder(Repair repair) {
    count_.store(0);
    last_ = {};
    repair_ = repair;
    handle_ = AddVectoredExceptionHandler(1, &Handle);
    EXPECT_NE(handle_, nullptr) << GetLastError();
  }
  ~ExceptionRecorder() { EXPECT_NE(RemoveVectoredExceptionHandler(handle_), 0u); }
  ExceptionRecorder(const ExceptionRecorder&) = delete;
  ExceptionRecorder& operator=(const ExceptionRecorder&) = delete;

  static int count() {
    // The compiler does not know that a handler runs in the middle of the access before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return count_.load();
  }
  static const EXCEPTION_RECORD& last() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return last_;
  }

  // Exactly one exception so far, of that kind.
  static void ExpectOne(DWORD code, ULONG_PTR access, const void* address) {
    EXPECT_EQ(count(), 1);
    EXPECT_EQ(last_.ExceptionCode, code);
    EXPECT_EQ(last_.ExceptionFlags, 0u);
    EXPECT_EQ(last_.ExceptionRecord, nullptr);
    EXPECT_NE(last_.ExceptionAddress, nullptr);
    EXPECT_EQ(last_.NumberParameters, code == EXCEPTION_IN_PAGE_ERROR ? 3u : 2u);
    EXPECT_EQ(last_.ExceptionInformation[0], access);
    EXPECT_EQ(last_.ExceptionInformation[1], reinterpret_cast<ULONG_PTR>(address));
    EXPECT_TRUE(had_context_);
  }

 private:
  static LONG Handle(PEXCEPTION_POINTERS pointers) {
    // The first is kept, so that the threads of a test may race.
    if (count_.fetch_add(1) == 0) {
      last_ = *pointers->ExceptionRecord;
      had_context_ = pointers->ContextRecord != nullptr;
    }
    return repair_(*pointers->ExceptionRecord);
  }

  static inline std::atomic<int> count_{0};
  static inline EXCEPTION_RECORD last_;
  static inline bool had_context_ = false;
  static inline Repair repair_ = nullptr;
  PVOID handle_;
};

}  // namespace userpager_tests

#endif  // USERPAGER_TESTS_API_EXCEPTION_RECORDER_H_
