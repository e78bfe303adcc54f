"""Adds up what gcov has counted of the runtime and prints it, file by file (tests/coverage.sh).

Usage: coverage_report.py CHECKOUT COUNTS SHOW-LINES(yes|no)

A line or branch counts as reached if any object that contains it reached it. Lines that are not
reached are compared with tests/coverage_gaps.txt: FILE, a piece of the line, and the reason.
"""
import collections
import gzip
import json
import pathlib
import sys

ROOMS = ["platform", "address_space", "frames", "policy", "page_file", "pager"]


def read_counts(root, counts):
    """{file: ({line: hits}, {(line, branch): hits})} of the rooms' own files."""
    files = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    for path in counts.glob("*.gcov.json.gz"):
        for entry in json.load(gzip.open(path))["files"]:
            name = pathlib.Path(entry["file"])
            if not name.is_absolute():
                name = (root / name).resolve()
            try:
                name = name.relative_to(root)
            except ValueError:
                continue
            if name.parts[0] != "runtime" or name.parts[1] not in ROOMS:
                continue
            lines, branches = files[str(name)]
            for line in entry["lines"]:
                lines[line["line_number"]] += line["count"]
                for i, branch in enumerate(line["branches"]):
                    # The way an exception would take: the runtime is built without any.
                    if not branch["throw"]:
                        branches[line["line_number"], i] += branch["count"]
    return files


def read_gaps(root):
    gaps = []
    for line in (root / "tests/coverage_gaps.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            gaps.append([part.strip() for part in line.split("|", 2)])
    return gaps


def share(counter):
    reached = sum(1 for hits in counter.values() if hits > 0)
    return reached, len(counter), 100 * reached / max(1, len(counter))


def main():
    root, counts, show = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3]
    files = read_counts(root, counts)
    gaps = read_gaps(root)
    total = [0, 0, 0, 0]
    unexplained = []
    print("| file | lines | reached | branches | reached |\n|---|---|---|---|---|")
    for name in sorted(files):
        lines, branches = files[name]
        of_lines, of_branches = share(lines), share(branches)
        for i, value in enumerate(of_lines[:2] + of_branches[:2]):
            total[i] += value
        print(f"| `{name}` | {of_lines[1]} | {of_lines[2]:.1f}% | {of_branches[1]} |"
              f" {of_branches[2]:.1f}% |")
        text = (root / name).read_text().splitlines()
        for number in sorted(number for number, hits in lines.items() if hits == 0):
            code = text[number - 1].strip()
            reasons = [gap[2] for gap in gaps if gap[0] in name and gap[1] in code]
            if not reasons:
                unexplained.append(f"{name}:{number}: {code}")
            if show == "yes":
                print(f"    {number}: {code}  -- {reasons[0] if reasons else 'no reason given'}")
    print(f"| all | {total[1]} | {100 * total[0] / max(1, total[1]):.1f}% | {total[3]} |"
          f" {100 * total[2] / max(1, total[3]):.1f}% |")
    if not files:
        sys.exit("coverage_report.py: no counts were found; did the tests run?")
    if unexplained:
        print(f"{len(unexplained)} lines are not reached and not explained in"
              " tests/coverage_gaps.txt:")
        print("\n".join("  " + line for line in unexplained))
        sys.exit(1)


main()
