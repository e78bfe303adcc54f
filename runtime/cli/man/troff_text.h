// Plain text as troff takes it: what the programs that make manual pages share.
#ifndef USERPAGER_CLI_MAN_TROFF_TEXT_H_
#define USERPAGER_CLI_MAN_TROFF_TEXT_H_

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace userpager::man {

using Lines = std::vector<std::string>;

std::string Escaped(std::string_view text);

// Lines without an empty one between them, none of which is empty: a paragraph, or a list of terms
// where there are terms with their text two blanks behind them, or, where all of it is indented and
// no list, an example.
void PrintBlock(Lines block, std::ostream& out);

}  // namespace userpager::man

#endif  // USERPAGER_CLI_MAN_TROFF_TEXT_H_
