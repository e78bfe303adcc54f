// Descriptors: the runtime's own file descriptors, out of the way of a program that counts on low
// numbers, and known, so that a preloaded program that closes all descriptors spares them.
#ifndef USERPAGER_PLATFORM_DESCRIPTORS_H_
#define USERPAGER_PLATFORM_DESCRIPTORS_H_

namespace userpager {

class Descriptors {
 public:
  // Gives the open descriptor a high number, where one is free, and remembers it; returns what it
  // is from now on. A negative one is returned as it is. errno stays. Thread-safe.
  static int Keep(int descriptor);
  // Closes a descriptor that Keep returned. A negative one is nothing. Thread-safe.
  static void Close(int descriptor);
  // As Close, of one that somebody else closed.
  static void Forget(int descriptor);
  // Whether the number is one of the runtime's. Thread-safe.
  static bool Has(int descriptor);
  // The lowest of the runtime's that is at least `from`, or -1.
  static int Next(int from);
  // A descriptor that Keep returned, and that a forked child goes on using (CloseInherited).
  // Returns it.
  static int KeepInChildren(int descriptor);
  // In a forked child: closes all, as they act on its parent, but those of KeepInChildren.
  static void CloseInherited();
  // Closes all.
  static void CloseAll();
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_DESCRIPTORS_H_
