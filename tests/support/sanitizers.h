// Which sanitizer a test is built with, for the few things that one makes impossible.
#ifndef USERPAGER_TESTS_SUPPORT_SANITIZERS_H_
#define USERPAGER_TESTS_SUPPORT_SANITIZERS_H_

// g++ defines the first of each pair, clang knows the second.
#if defined(__has_feature)
#define USERPAGER_HAS_FEATURE(feature) __has_feature(feature)
#else
#define USERPAGER_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || USERPAGER_HAS_FEATURE(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

namespace userpager {

#if defined(__SANITIZE_THREAD__) || USERPAGER_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || USERPAGER_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

// They have memory of their own, which grows with the program's, and must know about every stack,
// so that the runtime switches none.
inline constexpr bool kInstrumented = kThreadSanitizer || kAddressSanitizer;

// What its thread allocates while it lives may be left over at the end of the program.
#if defined(__SANITIZE_ADDRESS__) || USERPAGER_HAS_FEATURE(address_sanitizer)
class LeaksAllowed {
  __lsan::ScopedDisabler disabler_;
};
#else
class LeaksAllowed {
 public:
  LeaksAllowed() {}
};
#endif

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_SANITIZERS_H_
