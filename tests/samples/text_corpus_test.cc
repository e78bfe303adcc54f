// What the word_index sample takes for text and for words.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "samples/support/text_corpus.h"
#include "tests/support/temp_directory.h"

namespace samples {
namespace {

using userpager::TempDirectory;
using userpager::WriteFile;
using Words = std::vector<std::pair<std::string, uint32_t>>;

// The words of a text that comes in blocks of so many bytes.
Words WordsOf(std::string_view text, size_t block_bytes) {
  Words words;
  Tokenizer tokenizer;
  const auto found = [&](std::string_view word, uint32_t offset) {
    words.emplace_back(word, offset);
  };
  for (size_t at = 0; at < text.size(); at += block_bytes) {
    tokenizer.Feed(text.substr(at, block_bytes), found);
  }
  tokenizer.End(found);
  return words;
}

TEST(TextCorpusTest, RecognisesText) {
  using std::string_view_literals::operator""sv;
  EXPECT_TRUE(LooksLikeText("plain\n\ttext\r\n"));
  EXPECT_TRUE(LooksLikeText("Gr\xc3\xbc\xc3\x9f" "e, \xe4\xbd\xa0\xe5\xa5\xbd"));
  EXPECT_FALSE(LooksLikeText(""));
  EXPECT_FALSE(LooksLikeText("text with a\0NUL byte"sv));
  EXPECT_FALSE(LooksLikeText("\x01\x02\x03\x04 some text"));
  EXPECT_FALSE(LooksLikeText("\xff\xfe\xfd\xfc\xfb\xfa"));
  EXPECT_FALSE(LooksLikeText("\xc3\xc3\xc3 sequences that do not go on"));
  // A sequence cut at the end of the head is no reason against 8 KiB of text.
  EXPECT_TRUE(LooksLikeText(std::string(100, 'a') + "\xe4\xbd"));
}

TEST(TextCorpusTest, FindsWordsWhereverBlocksEnd) {
  const std::string_view text = "Two words, 3rd no_word _x x9 Gr\xc3\xbc\xc3\x9f" "e\nlast";
  const Words expected = {{"two", 0},  {"words", 4}, {"no_word", 15},
                          {"x9", 26},  {"gr\xc3\xbc\xc3\x9f" "e", 29}, {"last", 37}};
  for (size_t block_bytes = 1; block_bytes <= text.size(); ++block_bytes) {
    EXPECT_EQ(WordsOf(text, block_bytes), expected) << "in blocks of " << block_bytes;
  }
}

TEST(TextCorpusTest, LeavesOutWhatIsTooLongForAWord) {
  const std::string longest(64, 'w');
  const std::string too_long(65, 'w');
  EXPECT_EQ(WordsOf(too_long + " " + longest + " a", 7), (Words{{longest, 66}, {"a", 131}}));
  EXPECT_TRUE(WordsOf("", 1).empty());
}

TEST(TextCorpusTest, TakesTextInTheOrderOfPathsUpToTheMost) {
  const TempDirectory directory;
  std::filesystem::create_directory(directory / "a");
  WriteFile(directory / "b.txt", "0123456789");
  WriteFile(directory / "a/z.txt", "01234");
  WriteFile(directory / "c.bin", std::string(3, '\0'));
  WriteFile(directory / "d.txt", "0123456789");
  std::filesystem::create_symlink(directory / "b.txt", directory / "a/link.txt");
  TextCorpus corpus(22);
  unsigned found = 0;
  corpus.AddDirectory(directory.path(), [&] { ++found; });
  ASSERT_EQ(corpus.files().size(), 3u);
  EXPECT_EQ(found, 3u);
  EXPECT_EQ(corpus.files()[0].path, directory / "a/z.txt");
  EXPECT_EQ(corpus.files()[1].path, directory / "b.txt");
  EXPECT_EQ(corpus.files()[2].path, directory / "d.txt");
  EXPECT_EQ(corpus.files()[2].bytes, 7u) << "the last file is cut";
  EXPECT_EQ(corpus.text_bytes(), 22u);
  EXPECT_EQ(corpus.not_text(), 1u);
  EXPECT_EQ(corpus.unreadable(), 0u);
}

TEST(TextCorpusTest, RepeatsTheSameFilesAsOtherDocuments) {
  const TempDirectory directory;
  WriteFile(directory / "one", "0123456789");
  WriteFile(directory / "two", "0123456789");
  TextCorpus corpus(45);
  corpus.AddDirectory(directory.path(), [] {});
  corpus.Repeat(10);
  EXPECT_EQ(corpus.passes(), 3u);
  ASSERT_EQ(corpus.files().size(), 5u);
  EXPECT_EQ(corpus.files()[4].path, corpus.files()[0].path);
  EXPECT_EQ(corpus.files()[4].bytes, 5u);
  TextCorpus bounded(1000);
  bounded.AddDirectory(directory.path(), [] {});
  bounded.Repeat(4);
  EXPECT_EQ(bounded.files().size(), 8u) << "more passes than the most";
}

TEST(TextCorpusTest, CountsWhatCannotBeRead) {
  const TempDirectory directory;
  TextCorpus corpus(100);
  corpus.AddDirectory(directory / "nothing", [] {});
  EXPECT_EQ(corpus.unreadable(), 1u);
  corpus.Repeat(3);
  EXPECT_TRUE(corpus.files().empty());
}

}  // namespace
}  // namespace samples
