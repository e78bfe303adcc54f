#include "runtime/platform/process_map.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "runtime/platform/address_map.h"
#include "runtime/platform/kernel_abi.h"

namespace userpager {
namespace {

// A line has the name of its file at the end, which is not needed and may be cut.
constexpr size_t kBufferBytes = 4096;

// Takes a number of that base and the separator behind it off the text.
bool TakeNumber(std::string_view* text, int base, char separator, uint64_t* value) {
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), *value, base);
  const auto used = static_cast<size_t>(end - text->data());
  if (error != std::errc() || used >= text->size() || *end != separator) return false;
  text->remove_prefix(used + 1);
  return true;
}

uint64_t DeviceOf(uint64_t major, uint64_t minor) { return major << 32 | minor; }

}  // namespace

// 7f1c4a000000-7f1c4a021000 rw-p 00000000 08:01 131 /usr/lib/...
bool ParseMapping(std::string_view line, ProcessMapping* mapping) {
  uint64_t begin = 0;
  uint64_t end = 0;
  if (!TakeNumber(&line, 16, '-', &begin) || !TakeNumber(&line, 16, ' ', &end)) return false;
  if (line.size() < 5) return false;
  mapping->readable = line[0] == 'r';
  mapping->writable = line[1] == 'w';
  mapping->executable = line[2] == 'x';
  mapping->shared = line[3] == 's';
  line.remove_prefix(5);
  uint64_t offset = 0;
  uint64_t major = 0;
  uint64_t minor = 0;
  if (!TakeNumber(&line, 16, ' ', &offset) || !TakeNumber(&line, 16, ':', &major) ||
      !TakeNumber(&line, 16, ' ', &minor)) {
    return false;
  }
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), mapping->inode);
  if (parsed.ec != std::errc()) return false;
  mapping->range = PageRange(PageOf(begin), PageOf(end));
  mapping->device = DeviceOf(major, minor);
  return true;
}

ProcessMap::~ProcessMap() {
  if (descriptor_ >= 0) close(descriptor_);
}

Errno ProcessMap::Open() {
  descriptor_ = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  return descriptor_ >= 0 ? 0 : errno;
}

Errno ProcessMap::AtOrAfter(PageIndex page, ProcessMapping* mapping) {
  Errno error = use_text_ ? ENOTTY : Ask(page, mapping);
  if (error == ENOTTY || error == EINVAL) {
    use_text_ = true;
    error = ReadText(page, mapping);
  }
  // The text ends with a page of the kernel's own.
  if (error == 0 && mapping->range.begin >= kEndOfAddressSpace) return ENOENT;
  return error;
}

Errno ProcessMap::Ask(PageIndex page, ProcessMapping* mapping) {
  kernel_abi::ProcmapQuery query{};
  query.size = sizeof query;
  query.query_flags = kernel_abi::kProcmapCoveringOrNext;
  query.query_addr = AddressOf(page);
  if (ioctl(descriptor_, kernel_abi::kProcmapQuery, &query) != 0) return errno;
  mapping->range = PageRange(PageOf(query.vma_start), PageOf(query.vma_end));
  mapping->readable = (query.vma_flags & kernel_abi::kProcmapReadable) != 0;
  mapping->writable = (query.vma_flags & kernel_abi::kProcmapWritable) != 0;
  mapping->executable = (query.vma_flags & kernel_abi::kProcmapExecutable) != 0;
  mapping->shared = (query.vma_flags & kernel_abi::kProcmapShared) != 0;
  mapping->device = DeviceOf(query.dev_major, query.dev_minor);
  mapping->inode = query.inode;
  return 0;
}

Errno ProcessMap::ReadText(PageIndex page, ProcessMapping* mapping) {
  if (lseek(descriptor_, 0, SEEK_SET) != 0) return errno;
  char buffer[kBufferBytes];
  size_t length = 0;
  bool in_cut_line = false;
  for (;;) {
    const ssize_t got = read(descriptor_, buffer + length, sizeof buffer - length);
    if (got < 0) return errno;
    if (got == 0) return ENOENT;
    length += static_cast<size_t>(got);
    std::string_view text(buffer, length);
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      const bool whole = !in_cut_line;
      in_cut_line = false;
      if (whole && ParseMapping(text.substr(0, end), mapping) && mapping->range.end > page)
        return 0;
      text.remove_prefix(end + 1);
    }
    if (text.size() == sizeof buffer) {
      // Longer than the buffer: its beginning says all, and its rest is skipped.
      if (!in_cut_line && ParseMapping(text, mapping) && mapping->range.end > page) return 0;
      in_cut_line = true;
      text = {};
    }
    length = text.size();
    memmove(buffer, text.data(), length);
  }
}

}  // namespace userpager
