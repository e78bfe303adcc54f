// The program's environment, changed in its place. Not by setenv and its kin: programs may have
// functions of these names themselves (bash has), which are called instead and do something else.
#ifndef USERPAGER_PRELOAD_ENVIRONMENT_H_
#define USERPAGER_PRELOAD_ENVIRONMENT_H_

namespace userpager {

// Takes the variable out, if it is there. Only while the process has one thread of the program's.
void ForgetVariable(const char* name);

// Leaves of the variable's value what `rest`, which points into it, points to.
void ShortenVariable(const char* name, const char* rest);

}  // namespace userpager

#endif  // USERPAGER_PRELOAD_ENVIRONMENT_H_
