#include "runtime/cli/call_sites.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

// So many digits of a build-id tell two builds apart at a glance.
constexpr size_t kDigitsShown = 8;

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool BeginsWithOneOf(const std::string& text, std::initializer_list<std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view beginning) {
    return text.compare(0, beginning.size(), beginning) == 0;
  });
}

bool IsLibraryOfLanguage(const std::string& module) {
  return BeginsWithOneOf(module, {"libc.so", "libstdc++.so", "libc++.so", "libm.so", "ld-linux",
                                  "libuserpager"});
}

// What the headers of the C++ library, and <userpager/memory.hpp>, have compiled into the program.
bool IsFunctionOfLibrary(const std::string& function) {
  constexpr std::string_view kVoid = "void ";
  const bool says_void = function.compare(0, kVoid.size(), kVoid) == 0;
  return BeginsWithOneOf(says_void ? function.substr(kVoid.size()) : function,
                         {"std::", "__gnu_cxx::", "operator new", "userpager::allocator<",
                          "userpager::internal::", "userpager::memory_resource::",
                          "userpager::region::"});
}

std::string BuildId(const TraceModule& module) {
  return HexText(module.build_id,
                 std::min<size_t>(module.build_id_bytes, sizeof module.build_id));
}

std::string PathOf(const TraceModule& module) {
  return {module.path, strnlen(module.path, sizeof module.path)};
}

}  // namespace

CallSite CallSites::Of(uint64_t first_page, uint64_t page_count, uint64_t begin_ns,
                       uint64_t end_ns) {
  const TraceFile::Callers* best = nullptr;
  uint64_t most = 0;
  for (const TraceFile::Callers& one : file_.callers()) {
    const TraceCallers& record = *one.record;
    if (record.time_ns < begin_ns || record.time_ns > end_ns) continue;
    const uint64_t begin = std::max(first_page, record.page);
    const uint64_t end = std::min(first_page + page_count, record.page + record.page_count);
    if (begin >= end || end - begin <= most) continue;
    most = end - begin;
    best = &one;
  }
  CallSite site;
  if (best == nullptr) return site;
  bool found_name = false;
  for (uint32_t i = 0; i < std::min<uint32_t>(best->record->frame_count, kTraceFrames); ++i) {
    Frame frame = NameOf(best->record->frames[i], best->modules);
    const bool is_better = frame.has_name && !found_name;
    if (!frame.is_library && (site.name.empty() || is_better)) {
      site.name = frame.text;
      found_name = frame.has_name;
    }
    site.frames.push_back(std::move(frame.text));
  }
  if (site.name.empty() && !site.frames.empty()) site.name = site.frames.front();
  return site;
}

CallSites::Frame CallSites::NameOf(uint64_t address, size_t modules) {
  // The latest module at that place.
  const TraceModule* module = nullptr;
  for (size_t i = modules; i > 0 && module == nullptr; --i) {
    const TraceModule& one = *file_.modules()[i - 1];
    if (address >= one.begin && address < one.end) module = &one;
  }
  if (module == nullptr) {
    return {Format("0x%llx", static_cast<unsigned long long>(address)), false, false};
  }
  const std::string name = BaseName(PathOf(*module));
  const uint64_t in_file = address - module->load_address;
  std::string function;
  // A return address: the call is before it, and may be the last of its function.
  if (const ElfSymbols* symbols = SymbolsOf(*module)) function = symbols->NameAt(in_file - 1);
  const std::string id = BuildId(*module).substr(0, kDigitsShown);
  const std::string origin = id.empty() ? "no build-id" : "build-id " + id;
  const bool is_library = IsLibraryOfLanguage(name);
  if (function.empty()) {
    return {Format("%s+0x%llx (%s)", name.c_str(), static_cast<unsigned long long>(in_file),
                   origin.c_str()),
            is_library, false};
  }
  return {function + " (" + name + ", " + origin + ")",
          is_library || IsFunctionOfLibrary(function), true};
}

const ElfSymbols* CallSites::SymbolsOf(const TraceModule& module) {
  const std::string path = PathOf(module);
  const std::string id = BuildId(module);
  auto [found, is_new] = files_.try_emplace(path + '\n' + id);
  if (!is_new) return found->second.get();
  // Debian's packages of debugging symbols come first: they name more.
  std::vector<std::string> candidates;
  if (id.size() > 2) {
    candidates.push_back("/usr/lib/debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) +
                         ".debug");
  }
  candidates.push_back(path);
  for (const std::string& candidate : candidates) {
    auto symbols = std::make_unique<ElfSymbols>();
    if (!symbols->Open(candidate) || symbols->build_id() != id) continue;
    found->second = std::move(symbols);
    break;
  }
  return found->second.get();
}

}  // namespace userpager::cli
