// CallSites: which code asked for the memory of the regions of a recording: what was recorded with
// --callers, and the names of functions from the files of the modules as they are now.
#ifndef USERPAGER_CLI_CALL_SITES_H_
#define USERPAGER_CLI_CALL_SITES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/cli/elf_symbols.h"
#include "runtime/cli/trace_file.h"

namespace userpager::cli {

struct CallSite {
  // The innermost of `frames` that has a name and is the program's, not the C or C++ library's;
  // where none has, the innermost that is the program's.
  std::string name;
  // Each caller, the innermost first: "Load(char const*) (index, build-id 0123abcd)", or with an
  // offset in the place of the name where the module's file does not tell it.
  std::vector<std::string> frames;
};

class CallSites {
 public:
  explicit CallSites(const TraceFile& file) : file_(file) {}

  // Of the region of these pages that was there between the two times. Of several who asked for
  // parts of it, the one who asked for most at once, and of such the first. Nobody: no frames.
  CallSite Of(uint64_t first_page, uint64_t page_count, uint64_t begin_ns, uint64_t end_ns);

 private:
  struct Frame {
    std::string text;
    bool is_library = false;
    bool has_name = false;
  };

  Frame NameOf(uint64_t address, size_t modules);
  // nullptr where the file is not there any more, or is another one.
  const ElfSymbols* SymbolsOf(const TraceModule& module);

  const TraceFile& file_;
  std::map<std::string, std::unique_ptr<ElfSymbols>> files_;  // by path and build-id
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_CALL_SITES_H_
