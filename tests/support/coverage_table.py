"""For tests/coverage.sh: names the programs of tests, and makes the table and the list.

coverage_table.py targets CTEST REGEX        the programs of the tests of that name in ctest's file
coverage_table.py table ROOT LCOV REASONS    the table, and what did not run

A line of REASONS is a file, a function as the list names it (with * for any part of the name), and
why no test runs all of it, one after the other and separated by " | ". The first that fits counts.
Empty lines and lines that begin with # say nothing. Returns 1 where a reason fits nothing that did
not run.
"""

import bisect
import collections
import fnmatch
import os
import re
import subprocess
import sys

ROOMS = ("pager", "frames", "page_file", "policy", "platform", "address_space")


class File:
    """What ran of one source file."""

    def __init__(self):
        self.lines = {}  # number -> count
        self.branches = collections.Counter()  # (line, block, branch) -> count
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
                line, block, branch, taken = value.split(",")
                count = 0 if taken == "-" else int(taken)
                current.branches[(int(line), block, branch)] += count
    # Of what begins at one line (the copies of a template, a constructor's variants) any name does.
    plain = subprocess.run(["c++filt"], input="\n".join(names), text=True, check=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    for symbol, readable in zip(names, plain):
        for file, line in names[symbol]:
            file.starts.setdefault(line, short_name(readable))
    return dict(files)


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


def read_reasons(path):
    reasons = []
    with open(path, encoding="utf-8") as text:
        for line in text:
            if line.strip() and not line.startswith("#"):
                reasons.append(tuple(part.strip() for part in line.split(" | ", 2)))
    return reasons


def print_missing(files, reasons):
    """The list. Returns how many reasons nobody needs."""
    print("\n| what no test runs | lines | sides of branches in lines | why |\n|---|---|---|---|")
    unused = set(reasons)

    def reason_of(name, function):
        for reason in reasons:
            if reason[0] == name and fnmatch.fnmatchcase(function, reason[1]):
                unused.discard(reason)
                return reason[2]
        return "no reason given"

    for name in sorted(files):
        file = files[name]
        for function, (lines, branches) in sorted(missing(file).items()):
            print(f"| {name}: {function} | {ranges(lines, file.lines)} "
                  f"| {ranges(branches, file.lines)} | {reason_of(name, function)} |")
    for name, function, _ in sorted(unused):
        print(f"\nA reason that nobody needs: {name}: {function}")
    return len(unused)


def main(arguments):
    if arguments[0] == "targets":
        with open(arguments[1], encoding="utf-8") as text:
            entry = re.compile(r'^add_test\(\[=*\[([^]]+)]=*] "([^"]+)"', re.M)
            tests = entry.findall(text.read())
        programs = {os.path.basename(path) for name, path in tests
                    if re.search(arguments[2], name)}
        print("\n".join(sorted(programs)))
        return 0
    root, lcov, reasons = arguments[1:]
    files = read_lcov(lcov, root)
    print_table(files)
    return 1 if print_missing(files, read_reasons(reasons)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
