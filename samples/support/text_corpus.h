// TextCorpus: which files under some directories are text, and the words in them. Whether a file is
// text is told by its beginning; nothing of it is kept but its path and size.
#ifndef USERPAGER_SAMPLES_SUPPORT_TEXT_CORPUS_H_
#define USERPAGER_SAMPLES_SUPPORT_TEXT_CORPUS_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace samples {

class File {
 public:
  explicit File(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool ok() const { return descriptor_ >= 0; }
  // The size, or 0 for what is not a regular file.
  uint64_t SizeBytes() const {
    struct stat status;
    if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    return static_cast<uint64_t>(status.st_size);
  }
  // Bytes read, fewer than asked for only at the end; -1 on an error.
  ssize_t Read(char* to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = read(descriptor_, to + done, bytes - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return -1;
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return static_cast<ssize_t>(done);
  }

 private:
  const int descriptor_;
};

// Length of the UTF-8 sequence of more than one byte at the start of `text`, or 0.
inline size_t Utf8SequenceBytes(std::string_view text) {
  const auto bytes = static_cast<size_t>(std::countl_one(static_cast<unsigned char>(text[0])));
  if (bytes < 2 || bytes > 4 || bytes > text.size()) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return bytes;
}

// Whether a file that begins so is text: no NUL byte, and at least 95% printable UTF-8.
inline bool LooksLikeText(std::string_view head) {
  if (head.empty() || head.find('\0') != head.npos) return false;
  size_t printable = 0;
  for (size_t i = 0; i < head.size();) {
    const auto byte = static_cast<unsigned char>(head[i]);
    const bool ascii = (byte >= ' ' && byte < 0x7f) || (byte >= '\t' && byte <= '\r');
    const size_t bytes = byte < 0x80 ? size_t{ascii} : Utf8SequenceBytes(head.substr(i));
    printable += bytes;
    i += std::max<size_t>(bytes, 1);
  }
  return printable * 100 >= head.size() * 95;
}

struct TextFile {
  std::string path;
  uint64_t bytes;  // how many of it count
};

class TextCorpus {
 public:
  explicit TextCorpus(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Adds the text files under the directory, in the order of their paths, until there is enough
  // text. Symbolic links are not followed. `found()` is called after each file that was added.
  void AddDirectory(const std::string& directory, auto&& found) {
    if (text_bytes_ >= max_bytes_) return;
    std::array<char, kRecognitionBytes> head;
    for (std::string& path : ListFiles(directory)) {
      if (text_bytes_ >= max_bytes_) return;
      File file(path);
      const ssize_t bytes = file.ok() ? file.Read(head.data(), head.size()) : -1;
      if (bytes < 0) {
        ++unreadable_;
      } else if (LooksLikeText({head.data(), static_cast<size_t>(bytes)})) {
        Add(std::move(path), file.SizeBytes());
        found();
      } else {
        ++not_text_;
      }
    }
  }

  // Adds the same files again, as documents of their own, until there is enough text or they are
  // in it `most` times.
  void Repeat(unsigned most) {
    const size_t found = files_.size();
    while (found > 0 && text_bytes_ < max_bytes_ && passes_ < most) {
      ++passes_;
      for (size_t i = 0; i < found && text_bytes_ < max_bytes_; ++i) {
        Add(files_[i].path, files_[i].bytes);
      }
    }
  }

  // One for each document.
  const std::vector<TextFile>& files() const { return files_; }
  uint64_t text_bytes() const { return text_bytes_; }
  unsigned passes() const { return passes_; }
  uint64_t not_text() const { return not_text_; }
  uint64_t unreadable() const { return unreadable_; }

 private:
  static constexpr size_t kRecognitionBytes = 8192;

  // The last file is cut where there is enough text, and all where 32 bits cannot say an offset.
  void Add(std::string path, uint64_t file_bytes) {
    const uint64_t room = std::min<uint64_t>(max_bytes_ - text_bytes_, UINT32_MAX);
    const uint64_t bytes = std::min(file_bytes, room);
    text_bytes_ += bytes;
    files_.push_back({std::move(path), bytes});
  }

  std::vector<std::string> ListFiles(const std::string& directory) {
    namespace fs = std::filesystem;
    std::vector<std::string> paths;
    std::error_code error;
    const auto options = fs::directory_options::skip_permission_denied;
    fs::recursive_directory_iterator entry(directory, options, error);
    for (const fs::recursive_directory_iterator end; !error && entry != end;) {
      std::error_code no_type;
      if (entry->symlink_status(no_type).type() == fs::file_type::regular) {
        paths.push_back(entry->path().string());
      }
      entry.increment(error);
    }
    if (error) {
      std::fprintf(stderr, "%s: %s\n", directory.c_str(), error.message().c_str());
      ++unreadable_;
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  const uint64_t max_bytes_;
  std::vector<TextFile> files_;
  uint64_t text_bytes_ = 0;
  unsigned passes_ = 1;
  uint64_t not_text_ = 0;
  uint64_t unreadable_ = 0;
};

// Cuts a file that comes in blocks into words and calls `found(word, offset)` for each. A word
// begins with a letter and goes on with letters, digits and underscores; bytes of UTF-8 sequences
// count as letters, upper-case ASCII as lower case. What is longer than kLongestWord is data.
class Tokenizer {
 public:
  void Feed(std::string_view block, auto&& found) {
    for (const char c : block) {
      const char kept = kWordByte[static_cast<unsigned char>(c)];
      if (kept != 0) {
        if (length_ < kLongestWord) word_[length_] = kept;
        ++length_;
      } else if (length_ != 0) {
        End(found);
      }
      ++offset_;
    }
  }
  // To be called after the last block, too: the file may end with a word.
  void End(auto&& found) {
    if (length_ != 0 && length_ <= kLongestWord && IsLetter(word_[0])) {
      found(std::string_view(word_.data(), length_), static_cast<uint32_t>(offset_ - length_));
    }
    length_ = 0;
  }

 private:
  static constexpr size_t kLongestWord = 64;

  static constexpr bool IsLetter(char kept) {
    return (kept >= 'a' && kept <= 'z') || static_cast<unsigned char>(kept) >= 0x80;
  }
  // What a byte becomes in a word; 0 for what separates words.
  static constexpr std::array<char, 256> kWordByte = [] {
    std::array<char, 256> table = {};
    for (size_t c = 0; c < table.size(); ++c) {
      const bool lower = (c >= 'a' && c <= 'z') || c >= 0x80;
      const bool inner = (c >= '0' && c <= '9') || c == '_';
      if (lower || inner) table[c] = static_cast<char>(c);
      if (c >= 'A' && c <= 'Z') table[c] = static_cast<char>(c - 'A' + 'a');
    }
    return table;
  }();

  std::array<char, kLongestWord> word_ = {};
  size_t length_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace samples

#endif  // USERPAGER_SAMPLES_SUPPORT_TEXT_CORPUS_H_
