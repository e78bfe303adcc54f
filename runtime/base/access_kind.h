// What an instruction wanted of a page.
#ifndef USERPAGER_BASE_ACCESS_KIND_H_
#define USERPAGER_BASE_ACCESS_KIND_H_

#include <cstdint>

namespace userpager {

enum class AccessKind : uint8_t { kRead, kWrite, kExecute };

}  // namespace userpager

#endif  // USERPAGER_BASE_ACCESS_KIND_H_
