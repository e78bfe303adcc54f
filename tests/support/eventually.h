// Waiting for what comes by itself, without a guess of when.
#ifndef USERPAGER_TESTS_SUPPORT_EVENTUALLY_H_
#define USERPAGER_TESTS_SUPPORT_EVENTUALLY_H_

#include <functional>

namespace userpager {

// True as soon as `condition` is; false where it is not within a minute, which is far beyond what
// any machine needs.
bool Eventually(const std::function<bool()>& condition);

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_EVENTUALLY_H_
