// Named points in the code at which a test can stop a thread, so that a race happens on purpose.
// Built only where USERPAGER_SYNC_POINTS is defined (the library that the tests link); in the
// shipped library a point is nothing at all.
//
//   runtime:  USERPAGER_SYNC_POINT("page_out:moved", AddressOf(page));
//   test:     SyncPoints::Set("page_out:moved", [](uint64_t address) { ...; });
#ifndef USERPAGER_BASE_SYNC_POINT_H_
#define USERPAGER_BASE_SYNC_POINT_H_

#ifdef USERPAGER_SYNC_POINTS

#include <cstdint>
#include <functional>

namespace userpager {

class SyncPoints {
 public:
  // `action` runs in the thread that reaches the point, with whatever locks it holds: it may wait
  // for another thread of the test, but not touch managed memory.
  static void Set(const char* name, std::function<void(uint64_t)> action);
  static void ClearAll();
  static void Reach(const char* name, uint64_t value);
};

}  // namespace userpager

#define USERPAGER_SYNC_POINT(name, value) ::userpager::SyncPoints::Reach(name, value)

#else

#define USERPAGER_SYNC_POINT(name, value) \
  do {                                    \
  } while (false)

#endif

#endif  // USERPAGER_BASE_SYNC_POINT_H_
