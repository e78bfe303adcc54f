#include "runtime/platform/loaded_modules.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

namespace userpager {
namespace {

struct Listing {
  ArenaArray<TraceModule>& modules;
  uint64_t loaded;
  uint64_t unloaded;
  bool changed = false;
  size_t count = 0;
};

// Of one segment of notes, which is mapped as long as the module is listed.
void TakeBuildId(const char* notes, size_t bytes, TraceModule* module) {
  constexpr size_t kAlignment = 4;
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= bytes;) {
    ElfW(Nhdr) note;
    memcpy(&note, notes + at, sizeof note);
    const size_t name = at + sizeof note;
    const size_t content = name + RoundUp(note.n_namesz, kAlignment);
    const size_t end = content + RoundUp(note.n_descsz, kAlignment);
    if (end > bytes || end <= at) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
        memcmp(notes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
      module->build_id_bytes = std::min<uint32_t>(note.n_descsz, sizeof module->build_id);
      memcpy(module->build_id, notes + content, module->build_id_bytes);
      return;
    }
    at = end;
  }
}

void TakeModule(const dl_phdr_info& info, bool is_program, TraceModule* module) {
  *module = {};
  module->begin = UINT64_MAX;
  module->load_address = info.dlpi_addr;
  for (unsigned i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info.dlpi_phdr[i];
    const uint64_t begin = info.dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD) {
      module->begin = std::min(module->begin, begin);
      module->end = std::max(module->end, begin + part.p_memsz);
    } else if (part.p_type == PT_NOTE && module->build_id_bytes == 0) {
      TakeBuildId(reinterpret_cast<const char*>(begin), part.p_memsz, module);
    }
  }
  // The last byte stays zero.
  if (is_program) {
    (void)!readlink("/proc/self/exe", module->path, sizeof module->path - 1);
  } else if (info.dlpi_name != nullptr) {
    strncpy(module->path, info.dlpi_name, sizeof module->path - 1);
  }
}

int Take(dl_phdr_info* info, size_t, void* argument) {
  auto& listing = *static_cast<Listing*>(argument);
  if (!listing.changed) {
    if (info->dlpi_adds == listing.loaded && info->dlpi_subs == listing.unloaded) return 1;
    listing.changed = true;
    listing.loaded = info->dlpi_adds;
    listing.unloaded = info->dlpi_subs;
  }
  if (listing.count == listing.modules.size()) return 1;
  // The first is the program.
  TakeModule(*info, listing.count == 0, &listing.modules[listing.count]);
  ++listing.count;
  return 0;
}

}  // namespace

Errno LoadedModules::Init() {
  modules_ = ArenaArray<TraceModule>(kMost);
  return modules_.ok() ? 0 : ENOMEM;
}

std::span<const TraceModule> LoadedModules::TakeIfChanged() {
  Listing listing{modules_, loaded_, unloaded_};
  dl_iterate_phdr(&Take, &listing);
  loaded_ = listing.loaded;
  unloaded_ = listing.unloaded;
  return {modules_.data(), listing.count};
}

}  // namespace userpager
