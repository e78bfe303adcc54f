// Replacement policies over traces of accesses: those of the runtime, by their own code in a model
// of the shard (bench/support/shard_model.h), beside the optimal policy and others that see every
// access (bench/support/replacement_rivals.h). Without options: the traces of TraceNames(), each in
// memory of a quarter of its data, which is empty at the beginning.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "bench/support/replacement_table.h"

namespace userpager::bench {
namespace {

constexpr char kHelp[] =
    "Usage: replacement_sim [OPTION...]\n"
    "  --pages=N      pages of data of the traces that are made (65536)\n"
    "  --accesses=N   accesses for each page of data (4)\n"
    "  --memory=N     pages of memory (a quarter of the data's)\n"
    "  --fill=yes|no  whether all data is written, in order, before misses count (no)\n"
    "  --trace=NAME   one of the traces that are made; may be given several times\n"
    "  --file=PATH    a trace from a file (bench/support/access_trace.h), instead or as well\n"
    "  --json=PATH, --svg=PATH, --markdown=PATH  where to write the results, too\n"
    "Of each policy: its misses divided by the optimal policy's, and, for the runtime's own, its\n"
    "soft faults of 100 accesses.\n";

struct Options {
  uint32_t pages = 65'536;
  uint64_t accesses = 4;
  uint32_t memory = 0;
  bool fill = false;
  std::vector<std::string> traces;
  std::vector<std::string> files;
  std::string json;
  std::string svg;
  std::string markdown;
};

// Returns whether the option is known and its value good.
bool ReadOption(const std::string& name, const std::string& value, Options* options) {
  if (name == "--pages") return absl::SimpleAtoi(value, &options->pages) && options->pages >= 64;
  if (name == "--accesses") {
    return absl::SimpleAtoi(value, &options->accesses) && options->accesses > 0;
  }
  if (name == "--memory") {
    return absl::SimpleAtoi(value, &options->memory) && options->memory >= 16;
  }
  if (name == "--fill") {
    options->fill = value == "yes";
    return value == "yes" || value == "no";
  }
  if (name == "--trace") options->traces.push_back(value);
  else if (name == "--file") options->files.push_back(value);
  else if (name == "--json") options->json = value;
  else if (name == "--svg") options->svg = value;
  else if (name == "--markdown") options->markdown = value;
  else return false;
  return !value.empty();
}

// Returns "" or what is wrong.
std::string ReadOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string value = argument.substr(std::min(equals + 1, argument.size()));
    if (!ReadOption(argument.substr(0, equals), value, options)) {
      return "\"" + argument + "\" is not an option of this program, or not with this value";
    }
  }
  if (options->traces.empty() && options->files.empty()) options->traces = TraceNames();
  if (options->memory > options->pages) return "memory is larger than the data";
  return "";
}

bool WriteFile(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "replacement_sim: cannot write %s\n", path.c_str());
  return !file.fail();
}

// Returns "" or what is wrong with a trace.
std::string MeasureAll(const Options& options, ReplacementTable* table) {
  const auto memory_for = [&](uint32_t pages) {
    return options.memory != 0 ? options.memory : std::max<uint32_t>(pages / 4, 16);
  };
  for (const std::string& name : options.traces) {
    const AccessTrace trace =
        MakeTrace(name, {options.pages, memory_for(options.pages),
                         options.accesses * options.pages, options.fill});
    if (trace.name.empty()) return "there is no trace \"" + name + "\"";
    table->Measure(trace, memory_for(options.pages));
  }
  for (const std::string& path : options.files) {
    AccessTrace trace;
    if (std::string problem = ReadTrace(path, &trace); !problem.empty()) return problem;
    table->Measure(trace, memory_for(trace.touched));
  }
  return "";
}

int Main(int argc, char** argv) {
  Options options;
  if (argc == 2 && std::string(argv[1]) == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  std::string problem = ReadOptions(argc, argv, &options);
  ReplacementTable table;
  if (problem.empty()) problem = MeasureAll(options, &table);
  if (!problem.empty()) {
    std::fprintf(stderr, "replacement_sim: %s\n%s", problem.c_str(), kHelp);
    return 2;
  }
  std::fputs(table.Markdown().c_str(), stdout);
  bool written = WriteFile(options.json, table.Json());
  written &= WriteFile(options.svg, table.Chart());
  written &= WriteFile(options.markdown, table.Markdown());
  return written ? 0 : 1;
}

}  // namespace
}  // namespace userpager::bench

int main(int argc, char** argv) { return userpager::bench::Main(argc, argv); }
