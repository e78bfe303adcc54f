// ForkGuard: knows a forked child. Managed memory, the shards' threads and their descriptors belong
// to the parent alone, so in a child every call fails instead of taking a lock that nobody will
// give back.
#ifndef USERPAGER_API_FORK_GUARD_H_
#define USERPAGER_API_FORK_GUARD_H_

namespace userpager {

class ForkGuard {
 public:
  static constexpr const char* kExplanation =
      "this process is a forked child and has neither a pager nor its parent's managed memory, so "
      "every call fails; start a new program with exec or posix_spawn instead";

  // From now on children of this process are known as such. Once a process. May call malloc.
  static void Install();

  // In a child, first. Install sees to it where the handlers of pthread_atfork run.
  static void NoteChild();

  // In a child that has a pager of its own: it is no child any more.
  static void Release();

  // Whether this process is a child of one that had called Install.
  static bool IsChild();
  // As IsChild; the first time that it is so, one line on standard error says what that means.
  static bool RefuseInChild();
};

}  // namespace userpager

#endif  // USERPAGER_API_FORK_GUARD_H_
