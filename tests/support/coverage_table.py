"""For tests/coverage.sh: names the programs of tests, and makes the table and the list.

coverage_table.py targets CTEST REGEX               the programs of the tests of that name in
                                                    ctest's file
coverage_table.py table ROOT COUNTED REASONS ASKED  the table, and what did not run; ASKED is "all"
                                                    or "some", which tests were asked for

COUNTED is a directory with all.lcov and all.json, which llvm-cov has exported. The one says what
lines there are, which functions they are of, and which of them have conditions that are no
constant; the other, of each condition, where it stands.

A line of REASONS is a file, a function as the list names it, a part of the source line if not the
whole function is meant, and why no test runs that: one after the other and separated by " | ". In
files and functions * stands for anything. For each line that did not run the first reason that fits
counts. One that begins with "at times: " is of what some runs of the tests reach and others do not.
Empty lines and lines that begin with # say nothing.

Returns 1 where a reason fits nothing that did not run (but for those "at times"), and, if all tests
were asked for, where something has no reason.
"""

import bisect
import collections
import fnmatch
import json
import os
import re
import subprocess
import sys

ROOMS = ("pager", "frames", "page_file", "policy", "platform", "address_space")
NO_REASON = "no reason given"


class File:
    """What ran of one source file."""

    def __init__(self):
        self.lines = {}  # number -> count
        self.conditional = set()  # lines with a condition
        self.branches = collections.Counter()  # (line, condition, side) -> count
        self.starts = {}  # line -> functions that begin there

    def counts(self):
        branches = self.branches.values()
        return (len(self.lines), sum(count > 0 for count in self.lines.values()),
                len(branches), sum(count > 0 for count in branches))

    def function_at(self, line):
        starts = sorted(self.starts)
        at = bisect.bisect_right(starts, line) - 1
        return self.starts[starts[at]] if at >= 0 else "?"


def read_lcov(path, root):
    """The files of the fault path, by their paths in the tree."""
    files = collections.defaultdict(File)
    current = None
    names = {}
    with open(path, encoding="utf-8") as lcov:
        for text in lcov:
            key, _, value = text.strip().partition(":")
            if key == "SF":
                name = os.path.relpath(value, root)
                parts = name.split(os.sep)
                is_path = len(parts) == 3 and parts[0] == "runtime" and parts[1] in ROOMS
                current = files[name] if is_path else None
            elif current is None:
                continue
            elif key == "FN":
                line, _, symbol = value.partition(",")
                # A function of one file alone is named with the file.
                symbol = symbol.rpartition(":")[2]
                names.setdefault(symbol, []).append((current, int(line)))
            elif key == "DA":
                line, count = value.split(",")[:2]
                current.lines[int(line)] = current.lines.get(int(line), 0) + int(count)
            elif key == "BRDA":
                current.conditional.add(int(value.split(",")[0]))
    # Of what begins at one line (the copies of a template, a constructor's variants) any name does.
    plain = subprocess.run(["c++filt"], input="\n".join(names), text=True, check=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    for symbol, readable in zip(names, plain):
        for file, line in names[symbol]:
            file.starts.setdefault(line, short_name(readable))
    return dict(files)


def read_branches(path, root, files):
    """Of what stands at one place (in each copy of a template) the counts are added."""
    with open(path, encoding="utf-8") as text:
        exported = json.load(text)["data"][0]["files"]
    for entry in exported:
        file = files.get(os.path.relpath(entry["filename"], root))
        if file is None:
            continue
        found = [(branch[0], branch) for branch in entry["branches"]]
        for macro in entry["expansions"]:
            found += [(macro["source_region"][0], branch) for branch in macro["branches"]]
        for line, branch in found:
            if line in file.conditional:
                for side, count in enumerate(branch[4:6]):
                    file.branches[(line, tuple(branch[:4]), side)] += count


def short_name(readable):
    """Without namespaces, arguments and results."""
    name = readable.replace("(anonymous namespace)", "")
    name = re.sub(r"\{lambda.*", "a lambda", name)
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"<[^<>]*>", "", name)
    name = re.sub(r"\(.*", "", name).replace("userpager::", "").replace("::::", "::")
    return name.split(" ")[-1].strip(":") if "operator" not in name else name.strip(":")


def ranges(numbers, known):
    """Joins lines between which no line has a counter."""
    runs = []
    order = {line: i for i, line in enumerate(sorted(known))}
    for line in sorted(numbers):
        if runs and order[line] == order[runs[-1][1]] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def missing(file):
    """What did not run: function -> (lines, lines with a side of a branch that was never taken)."""
    found = collections.defaultdict(lambda: (set(), set()))
    for line, count in file.lines.items():
        if count == 0:
            found[file.function_at(line)][0].add(line)
    for (line, _, _), count in file.branches.items():
        if count == 0 and file.lines.get(line, 0) > 0:
            found[file.function_at(line)][1].add(line)
    return found


def percent(part, whole):
    return "100%" if part == whole else f"{100 * part / whole:.1f}%"


def print_table(files):
    totals = {room: [0] * 4 for room in ROOMS}
    print("| | lines | run | | branches | taken | |\n|---|---|---|---|---|---|---|")

    def row(name, counts):
        lines, run, branches, taken = counts
        print(f"| {name} | {lines} | {run} | {percent(run, lines)} "
              f"| {branches} | {taken} | {percent(taken, branches)} |")

    for name in sorted(files):
        counts = files[name].counts()
        row(name, counts)
        room = totals[name.split(os.sep)[1]]
        for i, count in enumerate(counts):
            room[i] += count
    for room in ROOMS:
        row(f"**{room}**", totals[room])
    row("**all**", [sum(room[i] for room in totals.values()) for i in range(4)])


def source_lines(path):
    with open(path, encoding="utf-8") as text:
        return [line.strip() for line in text]


class Reason:
    """A line of the file of reasons."""

    def __init__(self, line):
        parts = [part.strip() for part in line.split(" | ")]
        self.file, self.function = parts[:2]
        self.text = parts[2] if len(parts) == 4 else ""
        self.why = parts[-1]
        self.is_needed = False
        if len(parts) not in (3, 4):
            raise ValueError(f"neither three parts nor four: {line}")

    def fits(self, name, function, text):
        return (fnmatch.fnmatchcase(name, self.file) and self.text in text and
                fnmatch.fnmatchcase(function, self.function))

    def is_seldom(self):
        return self.why.startswith("at times: ")


def read_reasons(path):
    with open(path, encoding="utf-8") as text:
        return [Reason(line) for line in text if line.strip() and not line.startswith("#")]


def by_reason(lines, branches, reason_of):
    """Why -> (lines, lines with a side of a branch that was never taken)."""
    found = collections.defaultdict(lambda: (set(), set()))
    for kind, numbers in enumerate((lines, branches)):
        for number in numbers:
            found[reason_of(number)][kind].add(number)
    return sorted(found.items(), key=lambda entry: min(entry[1][0] | entry[1][1]))


def print_missing(files, reasons, root):
    """The list. Returns how many rows have no reason, and how many reasons nobody needs."""
    print("\n| what no test runs | lines | sides of branches in lines | why |\n|---|---|---|---|")
    rows = unexplained = 0
    for name in sorted(files):
        file = files[name]
        texts = source_lines(os.path.join(root, name))
        for function, (lines, branches) in sorted(missing(file).items()):
            def reason_of(number):
                for reason in reasons:
                    if reason.fits(name, function, texts[number - 1]):
                        reason.is_needed = True
                        return reason.why
                return NO_REASON

            for why, (some_lines, some_branches) in by_reason(lines, branches, reason_of):
                rows += 1
                unexplained += why == NO_REASON
                print(f"| {name}: {function} | {ranges(some_lines, file.lines)} "
                      f"| {ranges(some_branches, file.lines)} | {why} |")
    print(f"\n{rows} rows, of which {unexplained} have no reason.")
    unused = [reason for reason in reasons if not reason.is_needed and not reason.is_seldom()]
    for reason in unused:
        print(f"\nA reason that nobody needs: {reason.file}: {reason.function} {reason.text}")
    return unexplained, len(unused)


def main(arguments):
    if arguments[0] == "targets":
        with open(arguments[1], encoding="utf-8") as text:
            entry = re.compile(r'^add_test\(\[=*\[([^]]+)]=*] "([^"]+)"', re.M)
            tests = entry.findall(text.read())
        programs = {os.path.basename(path) for name, path in tests
                    if re.search(arguments[2], name)}
        print("\n".join(sorted(programs)))
        return 0
    root, counted, reasons, asked_for = arguments[1:]
    files = read_lcov(os.path.join(counted, "all.lcov"), root)
    read_branches(os.path.join(counted, "all.json"), root, files)
    print_table(files)
    unexplained, unused = print_missing(files, read_reasons(reasons), root)
    return 1 if unused > 0 or (unexplained > 0 and asked_for == "all") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
