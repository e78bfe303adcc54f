// The calling thread's message of its last failing userpager_ call.
#ifndef USERPAGER_API_ERROR_MESSAGE_H_
#define USERPAGER_API_ERROR_MESSAGE_H_

#include "runtime/base/log_line.h"

namespace userpager {

// Called inside (entry.h).
void KeepErrorMessage(const LogLine& message);

// "" where there is none. Valid until the next KeepErrorMessage of the thread.
const char* ErrorMessage();

}  // namespace userpager

#endif  // USERPAGER_API_ERROR_MESSAGE_H_
