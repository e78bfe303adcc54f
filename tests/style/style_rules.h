// The rules of the code that a machine can check. Each looks at one file and returns its complaints
// as "path:line: what is wrong"; none means that the file keeps the rule.
#ifndef USERPAGER_TESTS_STYLE_STYLE_RULES_H_
#define USERPAGER_TESTS_STYLE_STYLE_RULES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/style/source_file.h"

namespace userpager::style {

using Complaints = std::vector<std::string>;

inline constexpr size_t kLongestFileLines = 600;
inline constexpr size_t kLongestFunctionLines = 70;
inline constexpr size_t kLongestLineColumns = 100;

// A room of the runtime includes only itself, rooms above it in the list, and, from `api` on, the
// public headers; nothing of tests, benchmarks or samples.
Complaints CheckRoomOrder(const SourceFile& file);

Complaints CheckFileLength(const SourceFile& file);
Complaints CheckLineLength(const SourceFile& file);

// Functions at namespace or class scope, from the first line of the signature to the closing brace.
Complaints CheckFunctionLength(const SourceFile& file);

// USERPAGER_<path>_H_, where the path leaves out runtime/ and include/userpager/.
Complaints CheckIncludeGuard(const SourceFile& file);

// The runtime takes no memory from the heap and uses nothing that does: under the preload the heap
// is itself paged, so that a fault would wait for itself.
Complaints CheckNoHeap(const SourceFile& file);

Complaints CheckNoUnfinishedWork(const SourceFile& file);

// A comment stands right before each USERPAGER_API function and each class of a public header.
Complaints CheckPublicDocumentation(const SourceFile& file);

// A public header includes neither Abseil nor the runtime.
Complaints CheckPublicIncludes(const SourceFile& file);

}  // namespace userpager::style

#endif  // USERPAGER_TESTS_STYLE_STYLE_RULES_H_
