#include "runtime/cli/elf_symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "runtime/base/types.h"

namespace userpager::cli {
namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Entry = ElfW(Sym);
using Note = ElfW(Nhdr);

std::string Demangled(const std::string& name) {
  int status = 0;
  char* plain = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string text = status == 0 && plain != nullptr ? plain : name;
  std::free(plain);
  return text;
}

// A whole file, of which parts are asked for that may not be there.
class Image {
 public:
  explicit Image(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return;
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }

  // As many records as lie in the file whole.
  template <typename Record>
  std::vector<Record> Records(uint64_t at, uint64_t count) const {
    if (at > bytes_.size()) return {};
    std::vector<Record> records(std::min<uint64_t>(count, (bytes_.size() - at) / sizeof(Record)));
    if (!records.empty()) {
      std::memcpy(records.data(), bytes_.data() + at, records.size() * sizeof(Record));
    }
    return records;
  }
  std::string Text(uint64_t at, uint64_t most) const {
    if (at >= bytes_.size()) return {};
    const char* text = bytes_.data() + at;
    return std::string(text, strnlen(text, std::min<uint64_t>(most, bytes_.size() - at)));
  }

 private:
  std::vector<char> bytes_;
};

std::vector<Section> SectionsOf(const Image& image) {
  const std::vector<Header> headers = image.Records<Header>(0, 1);
  constexpr unsigned char kClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  if (headers.empty() || std::memcmp(headers[0].e_ident, ELFMAG, SELFMAG) != 0 ||
      headers[0].e_ident[EI_CLASS] != kClass || headers[0].e_ident[EI_DATA] != ELFDATA2LSB ||
      headers[0].e_shentsize != sizeof(Section)) {
    return {};
  }
  return image.Records<Section>(headers[0].e_shoff, headers[0].e_shnum);
}

std::string BuildIdIn(const Image& image, const Section& section) {
  constexpr uint64_t kAlignment = 4;
  for (uint64_t at = section.sh_offset; at - section.sh_offset < section.sh_size;) {
    const std::vector<Note> notes = image.Records<Note>(at, 1);
    if (notes.empty()) return {};
    const uint64_t name = at + sizeof(Note);
    const uint64_t content = name + RoundUp(uint64_t{notes[0].n_namesz}, kAlignment);
    if (notes[0].n_type == NT_GNU_BUILD_ID &&
        image.Text(name, notes[0].n_namesz) == ELF_NOTE_GNU) {
      const auto id = image.Records<unsigned char>(content, notes[0].n_descsz);
      return HexText(id.data(), id.size());
    }
    at = content + RoundUp(uint64_t{notes[0].n_descsz}, kAlignment);
  }
  return {};
}

}  // namespace

std::string HexText(const unsigned char* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

bool ElfSymbols::Open(const std::string& path) {
  const Image image(path);
  const std::vector<Section> sections = SectionsOf(image);
  for (const Section& section : sections) {
    if (section.sh_type == SHT_NOTE && build_id_.empty()) build_id_ = BuildIdIn(image, section);
    const bool has_symbols = section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM;
    if (!has_symbols || section.sh_link >= sections.size()) continue;
    const Section& names = sections[section.sh_link];
    for (const Entry& entry :
         image.Records<Entry>(section.sh_offset, section.sh_size / sizeof(Entry))) {
      if (ELF64_ST_TYPE(entry.st_info) != STT_FUNC || entry.st_value == 0) continue;
      if (entry.st_name >= names.sh_size) continue;
      symbols_.push_back({entry.st_value, entry.st_value + std::max<uint64_t>(entry.st_size, 1),
                          image.Text(names.sh_offset + entry.st_name,
                                     names.sh_size - entry.st_name)});
    }
  }
  std::stable_sort(symbols_.begin(), symbols_.end(),
                   [](const Symbol& a, const Symbol& b) { return a.begin < b.begin; });
  return !sections.empty();
}

std::string ElfSymbols::NameAt(uint64_t address) const {
  auto found = std::upper_bound(
      symbols_.begin(), symbols_.end(), address,
      [](uint64_t value, const Symbol& symbol) { return value < symbol.begin; });
  if (found == symbols_.begin()) return {};
  --found;
  return address < found->end ? Demangled(found->name) : std::string();
}

}  // namespace userpager::cli
