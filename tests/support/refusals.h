// What the kernel may refuse (runtime/base/system_call.h): each kind of call with the errors that
// it may fail with, for tests that fail all calls of an operation in turn.
#ifndef USERPAGER_TESTS_SUPPORT_REFUSALS_H_
#define USERPAGER_TESTS_SUPPORT_REFUSALS_H_

#include <cerrno>

#include "runtime/base/system_call.h"

namespace userpager {

struct Refusal {
  CallKind kind;
  int error;
};

// But for UFFDIO_POISON: that fails where a page was lost, which none of these operations meets.
// And for guards: an access violation would not end without one, so the process is stopped.
inline constexpr Refusal kRefusals[] = {
    {CallKind::kMap, ENOMEM},         {CallKind::kUnmap, ENOMEM},
    {CallKind::kProtect, ENOMEM},     {CallKind::kAdvise, ENOMEM},
    {CallKind::kDiscardMany, ENOMEM}, {CallKind::kLockMemory, EAGAIN},
    {CallKind::kUserfaultfd, EMFILE}, {CallKind::kHandshake, EINVAL},
    {CallKind::kRegister, ENOMEM},    {CallKind::kCopy, ENOMEM},
    {CallKind::kCopy, EAGAIN},        {CallKind::kMove, ENOMEM},
    {CallKind::kMove, EBUSY},         {CallKind::kMove, EAGAIN},
    {CallKind::kOpen, EMFILE},        {CallKind::kDescriptor, EMFILE},
    {CallKind::kThread, EAGAIN},      {CallKind::kRing, EPERM},
    {CallKind::kGrow, ENOSPC},        {CallKind::kGrow, EIO},
    {CallKind::kPunch, EOPNOTSUPP},   {CallKind::kPunch, EIO},
    {CallKind::kTruncate, EIO},       {CallKind::kLook, EIO},
    {CallKind::kReadFile, EIO},       {CallKind::kWriteFile, EIO},
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_REFUSALS_H_
