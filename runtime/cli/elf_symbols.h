// ElfSymbols: the names of functions in a program or a library, by address, from its symbol table.
// What of the file does not fit together is left out: anybody's files are read.
#ifndef USERPAGER_CLI_ELF_SYMBOLS_H_
#define USERPAGER_CLI_ELF_SYMBOLS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace userpager::cli {

class ElfSymbols {
 public:
  // False where it is no ELF file of this machine's kind, or cannot be read.
  bool Open(const std::string& path);

  // In hexadecimal digits; "" where the file has none.
  const std::string& build_id() const { return build_id_; }
  // The function at an address as the file has it, demangled; "" where none is known.
  std::string NameAt(uint64_t address) const;

 private:
  struct Symbol {
    uint64_t begin;
    uint64_t end;
    std::string name;
  };

  std::vector<Symbol> symbols_;  // by their beginnings
  std::string build_id_;
};

// As the build-id of a file is written: two digits a byte.
std::string HexText(const unsigned char* bytes, size_t count);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_ELF_SYMBOLS_H_
