// A result that goes to a file, or to standard output: it is there whole, or as it was before.
#ifndef USERPAGER_CLI_OUTPUT_FILE_H_
#define USERPAGER_CLI_OUTPUT_FILE_H_

#include <functional>
#include <ostream>
#include <string>

namespace userpager::cli {

// Has `write` write what the file is to hold; "-" is standard output. A file comes into its place
// when it is whole: where it cannot be written, or a signal ends this process meanwhile, nothing
// of it is left. Returns "", or why it cannot be written.
std::string WriteOutput(const std::string& path,
                        const std::function<void(std::ostream&)>& write);
// For a handler of a signal that ends this process at once.
void RemoveUnfinishedOutput();

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_OUTPUT_FILE_H_
