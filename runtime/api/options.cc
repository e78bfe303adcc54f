#include "runtime/api/options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "runtime/base/types.h"
#include "runtime/pager/pager.h"

namespace userpager {
namespace {

constexpr std::string_view kDefaultPageFile = "/var/tmp";

struct Word {
  std::string_view text;
  unsigned value;
};
constexpr Word kCommitWords[] = {{"strict", USERPAGER_COMMIT_STRICT},
                                 {"lazy", USERPAGER_COMMIT_LAZY}};
constexpr Word kIoWords[] = {{"auto", USERPAGER_IO_AUTO},
                             {"uring", USERPAGER_IO_URING},
                             {"threads", USERPAGER_IO_THREADS}};
constexpr Word kFaultWords[] = {{"thread", USERPAGER_FAULTS_THREAD},
                                {"inline", USERPAGER_FAULTS_INLINE}};
constexpr Word kMoveWords[] = {{"auto", USERPAGER_MOVE_AUTO}, {"off", USERPAGER_MOVE_OFF}};
constexpr Word kPolicyWords[] = {{"adaptive", USERPAGER_POLICY_ADAPTIVE},
                                 {"fifo", USERPAGER_POLICY_FIFO},
                                 {"clock", USERPAGER_POLICY_CLOCK}};
constexpr Word kPollingWords[] = {{"auto", USERPAGER_POLLING_AUTO},
                                  {"off", USERPAGER_POLLING_OFF}};
constexpr Word kStatsPageWords[] = {{"on", USERPAGER_STATS_PAGE_ON},
                                    {"off", USERPAGER_STATS_PAGE_OFF}};
constexpr Word kEncryptWords[] = {{"off", USERPAGER_ENCRYPT_OFF},
                                  {"aes-xts", USERPAGER_ENCRYPT_AES_XTS}};
constexpr Word kDiscardWords[] = {{"off", USERPAGER_DISCARD_OFF}, {"on", USERPAGER_DISCARD_ON}};
constexpr Word kFeatureWords[] = {{"none", 0},
                                  {"all", USERPAGER_FEATURE_ALL},
                                  {"move", USERPAGER_FEATURE_MOVE},
                                  {"poison", USERPAGER_FEATURE_POISON},
                                  {"guard", USERPAGER_FEATURE_GUARD},
                                  {"discard_vector", USERPAGER_FEATURE_DISCARD_VECTOR},
                                  {"thread_id", USERPAGER_FEATURE_THREAD_ID},
                                  {"exact_address", USERPAGER_FEATURE_EXACT_ADDRESS},
                                  {"wide_protect", USERPAGER_FEATURE_WIDE_PROTECT}};

// An enum's value as C may have stored it, which need not be one of its names.
template <typename Enum>
unsigned RawValue(const Enum& value) {
  unsigned raw;
  static_assert(sizeof raw == sizeof value);
  memcpy(&raw, &value, sizeof raw);
  return raw;
}

template <typename Enum, size_t kCount>
bool ReadWord(const Word (&words)[kCount], std::string_view text, Enum* value) {
  for (const Word& word : words) {
    if (word.text != text) continue;
    *value = static_cast<Enum>(word.value);
    return true;
  }
  return false;
}

// A number and what follows it; nullopt where there is no number at the front or it is too large.
std::optional<uint64_t> ReadNumber(std::string_view* text) {
  uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(parsed.ptr - text->data()));
  return value;
}

// Bytes; nullopt where the text is no size or the size is 0.
std::optional<uint64_t> ReadSize(std::string_view text, uint64_t whole, uint64_t most_percent) {
  const std::optional<uint64_t> number = ReadNumber(&text);
  if (!number.has_value() || *number == 0) return std::nullopt;
  if (text.empty()) return *number;
  if (text.size() != 1) return std::nullopt;
  if (text[0] == '%') {
    if (*number > most_percent || whole == 0) return std::nullopt;
    return whole / 100 * *number + whole % 100 * *number / 100;
  }
  unsigned shift = 0;
  switch (text[0]) {
    case 'K': case 'k': shift = 10; break;
    case 'M': case 'm': shift = 20; break;
    case 'G': case 'g': shift = 30; break;
    case 'T': case 't': shift = 40; break;
    default: return std::nullopt;
  }
  if (*number > UINT64_MAX >> shift) return std::nullopt;
  return *number << shift;
}

bool ReadShards(std::string_view text, uint32_t* shards) {
  const std::optional<uint64_t> number = ReadNumber(&text);
  if (!number.has_value() || !text.empty()) return false;
  if (*number < 1 || *number > Pager::kMaxShards) return false;
  *shards = static_cast<uint32_t>(*number);
  return true;
}

// Names joined by +.
bool ReadFeatures(std::string_view text, uint64_t* features) {
  uint64_t read = 0;
  for (bool more = true; more;) {
    const size_t end = std::min(text.find('+'), text.size());
    userpager_feature feature;
    if (!ReadWord(kFeatureWords, text.substr(0, end), &feature)) return false;
    read |= RawValue(feature);
    more = end < text.size();
    text.remove_prefix(more ? end + 1 : end);
  }
  *features = read;
  return true;
}

bool ReadPath(std::string_view text, userpager_options* options) {
  if (text.empty() || text.size() >= sizeof options->page_file) return false;
  memset(options->page_file, 0, sizeof options->page_file);
  std::copy(text.begin(), text.end(), options->page_file);
  return true;
}

using ReadValue = bool (*)(std::string_view value, const MachineMemory& machine,
                           userpager_options* options);
struct Key {
  std::string_view name;
  const char* form;  // of its values, for messages
  ReadValue read;
};

constexpr const char* kSizeForm =
    "a number of bytes above 0, or one with K, M, G, T or %, such as 256M or 25%";
constexpr uint64_t kMostPageFilePercent = 100'000;

constexpr Key kKeys[] = {
    {"memory",
     "auto, a number of bytes above 0, or one with K, M, G, T or %, such as 256M or 25%",
     [](std::string_view value, const MachineMemory& machine, userpager_options* options) {
       const bool follows = value == "auto";
       options->memory_mode = follows ? USERPAGER_MEMORY_AUTO : USERPAGER_MEMORY_FIXED;
       if (follows) {
         options->memory_limit_bytes = 0;
         return true;
       }
       const auto bytes = ReadSize(value, machine.allowed_bytes, 100);
       options->memory_limit_bytes = bytes.value_or(0);
       return bytes.has_value();
     }},
    {"page_file", "the path of a directory, a file or a block device, of at most 4095 bytes",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadPath(value, options);
     }},
    {"page_file_max", kSizeForm,
     [](std::string_view value, const MachineMemory& machine, userpager_options* options) {
       const auto bytes = ReadSize(value, machine.allowed_bytes, kMostPageFilePercent);
       options->page_file_max_bytes = bytes.value_or(0);
       return bytes.has_value();
     }},
    {"shards", "a number from 1 to 64",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadShards(value, &options->shards);
     }},
    {"commit", "strict or lazy",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kCommitWords, value, &options->commit);
     }},
    {"io", "auto, uring or threads",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kIoWords, value, &options->io);
     }},
    {"move", "auto or off",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kMoveWords, value, &options->move);
     }},
    {"faults", "thread or inline",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kFaultWords, value, &options->faults);
     }},
    {"policy", "adaptive, fifo or clock",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kPolicyWords, value, &options->policy);
     }},
    {"polling", "auto or off",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kPollingWords, value, &options->polling);
     }},
    {"stats_page", "on or off",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kStatsPageWords, value, &options->stats_page);
     }},
    {"encrypt", "off or aes-xts",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kEncryptWords, value, &options->encrypt);
     }},
    {"discard", "on or off",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadWord(kDiscardWords, value, &options->discard);
     }},
    {"without",
     "a list, joined by +, of move, poison, guard, discard_vector, thread_id, exact_address "
     "and wide_protect, nor is it all or none",
     [](std::string_view value, const MachineMemory&, userpager_options* options) {
       return ReadFeatures(value, &options->without);
     }},
};
constexpr unsigned kKeyCount = sizeof kKeys / sizeof kKeys[0];
constexpr const char* kKeyNames =
    "memory, page_file, page_file_max, shards, commit, io, move, faults, policy, polling, "
    "stats_page, encrypt, discard and without";

const Key* FindKey(std::string_view name) {
  const Key* found = std::find_if(kKeys, kKeys + kKeyCount,
                                  [name](const Key& key) { return key.name == name; });
  return found == kKeys + kKeyCount ? nullptr : found;
}

bool IsZero(const uint64_t (&words)[12]) {
  return std::all_of(words, words + 12, [](uint64_t word) { return word == 0; });
}

// Three quarters of what is free on the file system of a directory or file, or a block device's
// size; UINT64_MAX where it cannot be told.
uint64_t RoomAt(const char* path) {
  struct stat status;
  if (stat(path, &status) == 0 && S_ISBLK(status.st_mode)) {
    const int device = open(path, O_RDONLY | O_CLOEXEC);
    const off_t bytes = device < 0 ? -1 : lseek(device, 0, SEEK_END);
    if (device >= 0) close(device);
    return bytes <= 0 ? UINT64_MAX : static_cast<uint64_t>(bytes);
  }
  struct statvfs system;
  if (statvfs(path, &system) != 0) return UINT64_MAX;
  return uint64_t{system.f_bavail} * system.f_frsize / 4 * 3;
}

}  // namespace

void SetDefaults(userpager_options* options) {
  memset(options, 0, sizeof *options);
  options->struct_bytes = sizeof *options;
  options->shards = 1;
  options->io = USERPAGER_IO_AUTO;
  ReadPath(kDefaultPageFile, options);
}

int ParseOptions(std::string_view text, const char* where, const MachineMemory& machine,
                 userpager_options* options, LogLine* error) {
  userpager_options parsed = *options;
  bool seen[kKeyCount] = {};
  for (bool more = !text.empty(); more;) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, end);
    more = end < text.size();
    text.remove_prefix(more ? end + 1 : end);
    const size_t colon = std::min(item.find(':'), item.size());
    const std::string_view name = item.substr(0, colon);
    const std::string_view value = item.substr(std::min(colon + 1, item.size()));
    const Key* key = FindKey(name);
    if (key == nullptr) {
      *error << where << ": unknown option \"" << name << "\"; the options are " << kKeyNames
             << ", each as key:value";
      return USERPAGER_ERROR_INVALID_OPTION;
    }
    if (std::exchange(seen[key - kKeys], true)) {
      *error << where << ": option \"" << name << "\" is given twice; give it once";
      return USERPAGER_ERROR_INVALID_OPTION;
    }
    if (!key->read(value, machine, &parsed)) {
      *error << where << ": option \"" << name << "\": \"" << value << "\" is not " << key->form;
      return USERPAGER_ERROR_INVALID_OPTION;
    }
  }
  *options = parsed;
  return 0;
}

int CheckOptions(const userpager_options& options, LogLine* error) {
  const char* wrong = nullptr;
  if (options.struct_bytes != sizeof options) {
    wrong = "struct_bytes is not sizeof(userpager_options)";
  } else if (!IsZero(options.reserved)) {
    wrong = "a reserved field is not 0";
  } else if (options.shards < 1 || options.shards > Pager::kMaxShards) {
    wrong = "shards is not a number from 1 to 64";
  } else if (RawValue(options.commit) > USERPAGER_COMMIT_LAZY) {
    wrong = "commit is not a userpager_commit_mode";
  } else if (RawValue(options.io) > USERPAGER_IO_AUTO) {
    wrong = "io is not a userpager_io_engine";
  } else if (RawValue(options.move) > USERPAGER_MOVE_OFF) {
    wrong = "move is not a userpager_move_mode";
  } else if (RawValue(options.faults) > USERPAGER_FAULTS_INLINE) {
    wrong = "faults is not a userpager_fault_mode";
  } else if (RawValue(options.policy) > USERPAGER_POLICY_CLOCK) {
    wrong = "policy is not a userpager_policy";
  } else if (RawValue(options.polling) > USERPAGER_POLLING_OFF) {
    wrong = "polling is not a userpager_polling";
  } else if (RawValue(options.stats_page) > USERPAGER_STATS_PAGE_OFF) {
    wrong = "stats_page is not a userpager_stats_page";
  } else if (RawValue(options.encrypt) > USERPAGER_ENCRYPT_AES_XTS) {
    wrong = "encrypt is not a userpager_encryption";
  } else if (RawValue(options.discard) > USERPAGER_DISCARD_ON) {
    wrong = "discard is not a userpager_discard_mode";
  } else if (options.without > USERPAGER_FEATURE_ALL) {
    wrong = "without has a bit that is no userpager_feature";
  } else if (RawValue(options.memory_mode) > USERPAGER_MEMORY_AUTO) {
    wrong = "memory_mode is not a userpager_memory_mode";
  } else if (options.page_file[0] == '\0' ||
             memchr(options.page_file, '\0', sizeof options.page_file) == nullptr) {
    wrong = "page_file is empty or has no zero byte at its end";
  }
  if (wrong == nullptr) return 0;
  *error << "userpager_options: " << wrong << "; fill the options with userpager_options_init() "
         << "and change what should differ";
  return USERPAGER_ERROR_INVALID_OPTION;
}

void CompleteOptions(const MachineMemory& machine, userpager_options* options) {
  if (options->memory_limit_bytes == 0) options->memory_limit_bytes = machine.allowed_bytes / 2;
  if (options->page_file_max_bytes == 0) {
    const uint64_t memory_bytes = std::min(options->memory_limit_bytes, UINT64_MAX / 4);
    // With no room at all the smallest is asked for, and the opening says that there is none.
    options->page_file_max_bytes = std::max(
        std::min(memory_bytes * 4, RoomAt(options->page_file)), PageFile::kSmallestBytes);
  }
  options->memory_limit_bytes = RoundDown(options->memory_limit_bytes, kPageBytes);
  options->page_file_max_bytes =
      RoundDown(std::min(options->page_file_max_bytes, PageFile::kLargestBytes), kPageBytes);
}

int CheckMemoryLimit(uint64_t limit_bytes, uint32_t shards, const MachineMemory& machine,
                     LogLine* error) {
  const uint64_t smallest = BytesOf(Pager::SmallestMemoryLimit(shards));
  if (limit_bytes < smallest) {
    *error << "the memory limit of " << limit_bytes << " bytes is below the " << smallest
           << " bytes that are the least with " << shards << (shards == 1 ? " shard" : " shards")
           << "; give a higher one (option memory)";
    return USERPAGER_ERROR_MEMORY_LIMIT;
  }
  if (machine.total_bytes != 0 && limit_bytes > machine.total_bytes) {
    *error << "the memory limit of " << limit_bytes << " bytes is above the "
           << machine.total_bytes
           << " bytes of memory that this machine has; give a lower one (option memory)";
    return USERPAGER_ERROR_MEMORY_LIMIT;
  }
  return 0;
}

}  // namespace userpager
