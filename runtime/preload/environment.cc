#include "runtime/preload/environment.h"

#include <string.h>
#include <unistd.h>

namespace userpager {
namespace {

// The entry's value, or nullptr where it is another variable's.
char* ValueIn(char* entry, const char* name) {
  const size_t length = strlen(name);
  return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : nullptr;
}

}  // namespace

void ForgetVariable(const char* name) {
  char** kept = environ;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (ValueIn(*entry, name) == nullptr) *kept++ = *entry;
  }
  *kept = nullptr;
}

void ShortenVariable(const char* name, const char* rest) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    char* value = ValueIn(*entry, name);
    if (value != nullptr) memmove(value, rest, strlen(rest) + 1);
  }
}

}  // namespace userpager
