// word_index: where every word stands in every text file under some directories, in standard
// containers on managed memory with a memory limit of a quarter of what the index needs.
//
//   g++ -std=c++20 -O2 word_index.cc -o word_index $(pkg-config --cflags --libs userpager)
//   ./word_index            with the pager
//   ./word_index --plain    the same on ordinary memory: the digests agree
//
// The index is a hash map from each word to the vector of its positions. Everything else (file
// names, one read buffer, the words that are printed) is small and in ordinary memory. Options of
// the pager other than the memory limit are read from USERPAGER_CONF.
#include <userpager/memory.hpp>
#include <userpager/userpager.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/console.h"
#include "support/text_corpus.h"

namespace {

using samples::Grouped;
using samples::InMiB;
using samples::Progress;
using samples::TextCorpus;
using samples::TextFile;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr size_t kReadBytes = 256 * 1024;
constexpr unsigned kMostPasses = 64;
// Estimates, of English documentation and C headers: how much index one byte of text needs, and how
// many bytes of text bring one new word (rather too few: the map must not grow). The true figures
// are printed at the end.
constexpr double kIndexBytesPerTextByte = 1.3;
constexpr uint64_t kTextBytesPerNewWord = 256;

struct Options {
  bool plain = false;
  uint64_t memory_bytes = 0;  // 0: a quarter of the estimated index
  uint64_t max_bytes = 384 * kMiB;
  size_t top = 15;
  bool default_directories = true;
  std::vector<std::string> directories = {"/usr/include", "/usr/share", "/usr/lib", "/usr/src"};
};

constexpr char kUsage[] =
    "usage: word_index [--plain] [--memory SIZE] [--max-bytes SIZE] [--top COUNT] [DIRECTORY...]\n"
    "  --plain           ordinary memory instead of managed memory\n"
    "  --memory SIZE     the pager's memory limit (default: a quarter of the estimated index)\n"
    "  --max-bytes SIZE  the most text to index (default 384M)\n"
    "  --top COUNT       how many of the most frequent words to print (default 15)\n"
    "SIZE is a number of bytes with K, M or G after it, or none of them. The directories are\n"
    "taken in order, by default /usr/include /usr/share /usr/lib /usr/src, until there is enough\n"
    "text; where these four have too little, they are indexed again, as documents of their own.\n";

[[noreturn]] void Fail(const std::string& line) {
  std::fprintf(stderr, "word_index: %s\n", line.c_str());
  std::exit(1);
}

// "12M" as 12 * 2^20. Ends the program with a line that names the option.
uint64_t ParseSize(const std::string& option, const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(text.c_str(), &end, 10);
  const std::string_view rest = end;
  const std::string_view units = "KMG";
  const size_t unit = rest.empty() ? 0 : units.find(rest[0]) + 1;  // npos + 1 is 0
  const bool digits = !text.empty() && text[0] >= '0' && text[0] <= '9';
  if (!digits || errno != 0 || rest.size() > 1 || rest.empty() != (unit == 0) || number == 0 ||
      number > (UINT64_MAX >> (10 * unit))) {
    Fail(option + " " + text + ": not a size such as 4096, 64K or 128M");
  }
  return number << (10 * unit);
}

Options ParseCommandLine(int argc, char** argv) {
  Options options;
  std::vector<std::string> directories;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name.empty() || name[0] != '-') {
      directories.push_back(name);
      continue;
    }
    if (name == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (name == "--plain") {
      options.plain = true;
      continue;
    }
    std::string value;
    const size_t equals = name.find('=');
    if (equals != name.npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    }
    if (name == "--memory") {
      options.memory_bytes = ParseSize(name, value);
    } else if (name == "--max-bytes") {
      options.max_bytes = ParseSize(name, value);
    } else if (name == "--top") {
      options.top = ParseSize(name, value);
    } else {
      Fail(name + ": no such option\n" + kUsage);
    }
  }
  if (!directories.empty()) {
    options.default_directories = false;
    options.directories = std::move(directories);
  }
  return options;
}

TextCorpus FindText(const Options& options) {
  TextCorpus corpus(options.max_bytes);
  Progress progress;
  for (const std::string& directory : options.directories) {
    corpus.AddDirectory(directory, [&] {
      progress.Show("looking for text", corpus.text_bytes(), options.max_bytes,
                    corpus.files().size());
    });
  }
  if (options.default_directories) corpus.Repeat(kMostPasses);
  return corpus;
}

struct Position {
  uint32_t document;
  uint32_t offset;
};

// The finalizer of the splitmix64 generator.
uint64_t Scramble(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct Summary {
  uint64_t words = 0;
  uint64_t positions = 0;
  uint64_t index_bytes = 0;
  uint64_t digest = 0;
  std::vector<std::pair<uint64_t, std::string>> top;  // most frequent first
};

// The index, in memory from `Allocator`.
template <template <typename> class Allocator>
class WordIndex {
 public:
  // A map that grows writes to every entry, and most of them are out: so it gets its size at once.
  explicit WordIndex(uint64_t expected_words) { words_.reserve(expected_words); }

  void Add(std::string_view word, Position position) {
    auto entry = words_.find(word);
    if (entry == words_.end()) entry = words_.emplace(String(word), Positions()).first;
    entry->second.push_back(position);
  }

  // Reads the whole index once, in the map's own order, which is near the order in memory. The
  // digest is a hash of the sorted hashes of the words with their positions, so it depends neither
  // on that order nor on the kind of memory.
  Summary Summarize(size_t top_count) const {
    Summary summary;
    std::vector<uint64_t, Allocator<uint64_t>> digests;
    digests.reserve(words_.size());
    summary.index_bytes = words_.bucket_count() * sizeof(void*);
    for (const auto& [word, positions] : words_) {
      digests.push_back(Digest(word, positions));
      summary.positions += positions.size();
      summary.index_bytes += kEntryBytes + positions.capacity() * sizeof(Position);
      if (word.capacity() > String().capacity()) summary.index_bytes += word.capacity() + 1;
      KeepTop(positions.size(), word, top_count, &summary.top);
    }
    std::sort(digests.begin(), digests.end());
    summary.words = words_.size();
    for (const uint64_t digest : digests) summary.digest = Scramble(summary.digest ^ digest);
    return summary;
  }

 private:
  using String = std::basic_string<char, std::char_traits<char>, Allocator<char>>;
  using Positions = std::vector<Position, Allocator<Position>>;
  struct Hash {
    using is_transparent = void;
    // Not noexcept: libstdc++ then keeps each entry's hash beside it, and finding a word does not
    // read the other words of its bucket.
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  using Entry = std::pair<const String, Positions>;
  // The map adds a pointer and the hash.
  static constexpr uint64_t kEntryBytes = sizeof(Entry) + 2 * sizeof(void*);

  static uint64_t Digest(std::string_view word, const Positions& positions) {
    uint64_t digest = word.size();
    for (const char c : word) digest = Scramble(digest ^ static_cast<unsigned char>(c));
    for (const Position& p : positions) {
      digest = Scramble(digest ^ (uint64_t{p.document} << 32 | p.offset));
    }
    return digest;
  }

  static void KeepTop(uint64_t count, std::string_view word, size_t most,
                      std::vector<std::pair<uint64_t, std::string>>* top) {
    const auto before = [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    if (most == 0 || (top->size() == most && count < top->back().first)) return;
    const std::pair<uint64_t, std::string> item(count, word);
    top->insert(std::upper_bound(top->begin(), top->end(), item, before), item);
    if (top->size() > most) top->pop_back();
  }

  std::unordered_map<String, Positions, Hash, std::equal_to<>, Allocator<Entry>> words_;
};

// Indexes the file; false if it cannot be read (any more).
template <typename Index>
bool IndexFile(const TextFile& text, uint32_t document, char* buffer, Index* index) {
  samples::File file(text.path);
  if (!file.ok()) return false;
  samples::Tokenizer tokenizer;
  const auto add = [&](std::string_view word, uint32_t offset) {
    index->Add(word, {document, offset});
  };
  for (uint64_t done = 0; done < text.bytes;) {
    const ssize_t bytes = file.Read(buffer, std::min<uint64_t>(kReadBytes, text.bytes - done));
    if (bytes < 0) return false;
    if (bytes == 0) break;
    tokenizer.Feed({buffer, static_cast<size_t>(bytes)}, add);
    done += static_cast<uint64_t>(bytes);
  }
  tokenizer.End(add);
  return true;
}

template <template <typename> class Allocator>
Summary BuildIndex(const TextCorpus& corpus, size_t top_count) {
  // Never destroyed: taking the index apart would read all of it in again for nothing.
  static auto* const index = new WordIndex<Allocator>(corpus.text_bytes() / kTextBytesPerNewWord);
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  Progress progress;
  uint64_t done = 0;
  uint32_t document = 0;
  for (const TextFile& text : corpus.files()) {
    if (!IndexFile(text, document++, buffer.get(), index)) {
      progress.Clear();
      std::fprintf(stderr, "%s: cannot be read any more\n", text.path.c_str());
    }
    done += text.bytes;
    progress.Show("indexing", done, corpus.text_bytes(), document);
  }
  return index->Summarize(top_count);
}

// The most memory that the process ever had, as the kernel counted it.
uint64_t PeakResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

// Starts the pager with a limit of a quarter of what the index is expected to need.
void StartPager(const Options& options, uint64_t text_bytes) {
  userpager_options pager;
  userpager_options_init(&pager);
  const char* conf = std::getenv("USERPAGER_CONF");
  if (conf != nullptr && userpager_options_parse(&pager, conf) != 0) {
    Fail(userpager_error_message());
  }
  const auto estimate =
      static_cast<uint64_t>(static_cast<double>(text_bytes) * kIndexBytesPerTextByte);
  pager.memory_limit_bytes = options.memory_bytes;
  if (pager.memory_limit_bytes == 0) {
    pager.memory_limit_bytes = std::max<uint64_t>(estimate / 4, 16 * kMiB);
  }
  if (pager.page_file_max_bytes == 0) {
    pager.page_file_max_bytes = std::max<uint64_t>(3 * estimate, 256 * kMiB);
  }
  if (userpager_start(&pager) != 0) Fail(userpager_error_message());
}

void PrintFaults(const char* kind, const userpager_latency& latency) {
  std::printf("  %-14s %14s %10.1f %10.1f %10.1f\n", kind, Grouped(latency.count).c_str(),
              static_cast<double>(latency.p50_ns) / 1e3, static_cast<double>(latency.p99_ns) / 1e3,
              static_cast<double>(latency.p999_ns) / 1e3);
}

void PrintPaging(uint64_t index_bytes) {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof(stats);
  if (userpager_get_stats(&stats) != 0) Fail(userpager_error_message());
  std::printf("\nfaults                    count   p50 (us)   p99 (us) p99.9 (us)\n");
  PrintFaults("demand-zero", stats.demand_zero_latency);
  PrintFaults("soft", stats.soft_latency);
  PrintFaults("hard", stats.hard_latency);
  PrintFaults("write-protect", stats.write_protect_latency);
  const auto row = [](const char* name, const std::string& value) {
    std::printf("  %-28s %s\n", name, value.c_str());
  };
  std::printf("\npaging\n");
  row("paged in", InMiB(stats.file_read_bytes) + " in " + Grouped(stats.file_reads) + " reads");
  row("paged out", InMiB(stats.file_write_bytes) + " in " + Grouped(stats.file_writes) + " writes");
  row("read ahead", Grouped(stats.ahead_pages) + " pages, " + Grouped(stats.ahead_pages_used) +
                        " known to be used");
  row("left without a write", Grouped(stats.clean_pages_dropped) + " clean pages, " +
                                  Grouped(stats.zero_pages_dropped) + " zero pages");
  row("page file used", InMiB(stats.page_file_used_bytes));
  row("memory limit", InMiB(stats.memory_limit_bytes) + ", " +
                          std::to_string(100 * stats.memory_limit_bytes / index_bytes) +
                          "% of the index");
  row("managed memory at most", InMiB(stats.resident_bytes_peak));
}

void PrintWords(const Summary& summary) {
  std::printf("\n%s different words at %s positions; most frequent:\n",
              Grouped(summary.words).c_str(), Grouped(summary.positions).c_str());
  for (const auto& [count, word] : summary.top) {
    std::printf("  %14s  %s\n", Grouped(count).c_str(), word.c_str());
  }
}

int Run(int argc, char** argv) {
  const Options options = ParseCommandLine(argc, argv);
  const TextCorpus corpus = FindText(options);
  if (corpus.text_bytes() == 0) Fail("no text files found; name directories that have some");
  std::printf("%s of text in %s files; not text: %s files, not readable: %s\n",
              InMiB(corpus.text_bytes()).c_str(), Grouped(corpus.files().size()).c_str(),
              Grouped(corpus.not_text()).c_str(), Grouped(corpus.unreadable()).c_str());
  if (corpus.passes() > 1) {
    std::printf("too little text here: the files are indexed %u times, as different documents\n",
                corpus.passes());
  }
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  if (!options.plain) StartPager(options, corpus.text_bytes());
  const Summary summary = options.plain ? BuildIndex<std::allocator>(corpus, options.top)
                                        : BuildIndex<userpager::allocator>(corpus, options.top);
  const double seconds = samples::SecondsSince(start);
  PrintWords(summary);
  if (!options.plain) PrintPaging(summary.index_bytes);
  std::printf("\nindex %s, process at most %s (VmHWM)\n", InMiB(summary.index_bytes).c_str(),
              InMiB(PeakResidentBytes()).c_str());
  std::printf("digest: %016" PRIx64 "\n", summary.digest);
  std::printf("index_bytes: %" PRIu64 "\n", summary.index_bytes);
  std::printf("seconds: %.1f\n", seconds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::bad_alloc&) {
    Fail("out of memory: the index fits neither into memory nor into the page file");
  }
}
