"""Command lines about a whole bucket, such as ``mc mb`` and ``aws s3 rb``, which cannot work on a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migrator.scripts.found import Found, Names, alternatives
from migrator.scripts.paths import PathInText, judge, read_path, template_end

BUCKET_COMMAND = "a command about a whole bucket, which is now a prefix of another one"
DELETES = "a command that deletes: without a slash at its end, the prefix may also match other folders"
MADE_ALREADY = "another command makes the target bucket already"
STAYS_IN_PART = "makes a bucket, and a part of that bucket stays"
MIGRATES = "a command that copies from an old place to the target"
RCLONE = "a path of rclone, whose remote may be another server"
UNKNOWN_ALIAS = "the alias of mc is not known: give it with --alias"


def _program(names: str) -> str:
    """One of these programs, as a word of a command line or the first string of a list. After an escape such as ``\\n``
    in a string, the letter before the program belongs to the escape."""
    return rf"(?:(?<![\w.-])|(?<=\\[nrt]))(?:{names})(?=\\*[\"']?[\s,])"


def _command(programs: str, words: str) -> re.Pattern[str]:
    """A command line of one of these programs with one of these words in it."""
    return re.compile(rf"{_program(programs)}.*[\s\"'](?:{words})[\s\"'\\]", re.DOTALL)


_ABOUT_BUCKET = _command(
    "mc|mcli|aws|s3cmd|s5cmd|rclone|gsutil",
    "mb|rb|mkdir|make-bucket|remove-bucket|version|quota|event|ilm|encrypt|replicate|retention|legalhold|anonymous"
    "|policy|tag|cors|bucket|setpolicy|setlifecycle|expire|setcors|accesslog",
)
_DELETES = _command("mc|mcli|aws|s3cmd|s5cmd", "rm|del|--remove|--delete")
_COPIES = _command("mc|mcli|aws|s3cmd|s5cmd|rclone|hadoop|hdfs", "cp|mv|sync|mirror|copy|move|distcp")
_ANY_PROGRAM = re.compile(_program("mc|mcli|aws|s3cmd|s5cmd|rclone|gsutil|hadoop|hdfs"))
_MC_LINE = re.compile(rf"{_program('mc|mcli')}(?P<rest>.*)")
_RCLONE_LINE = re.compile(rf"{_program('rclone')}.*")
_GOES_ON = re.compile(r"[\\,\[(]\r?\n\Z")
"""The end of a line whose command continues in the next line."""
MOST_LINES = 8
_LONGEST_LINE = 1000


def trouble_in_command(text: str, at: int, path: PathInText, names: Names) -> str | None:
    """Why the path at ``at``, which could be mapped, is doubtful in its command line; None if it is not."""
    start = _start_of_command(text, at)
    before = text[start:at]
    if not _ANY_PROGRAM.search(before):  # must be fast: a data file may have thousands of paths in one line
        return None
    if path.bare and _ABOUT_BUCKET.search(before):
        return BUCKET_COMMAND
    if path.bare and path.key is None and _DELETES.search(before):
        return DELETES
    if _COPIES.search(before):
        end = text.find("\n", at)
        line = text[start : min(end if end >= 0 else len(text), at + _LONGEST_LINE)]
        if re.search(rf"(?<![\w.-]){re.escape(names.layout.target_bucket)}(?![\w.-])", line):
            return MIGRATES
    return None


def _start_of_command(text: str, at: int) -> int:
    """The beginning of the command at ``at``: in this line, or in an earlier one that it continues."""
    start = text.rfind("\n", 0, at) + 1
    for _ in range(MOST_LINES):
        if not _GOES_ON.search(text, max(0, start - 3), start):
            break
        start = text.rfind("\n", 0, start - 1) + 1
    return max(start, at - _LONGEST_LINE)


def find_alias_paths(text: str, names: Names) -> Iterator[Found]:
    """Every path under a configured alias of mc, such as ``myminio/bronze/x``, judged."""
    for match in re.finditer(rf"(?<![A-Za-z0-9._/\\$}}@-])({alternatives(names.aliases)})/", text):
        path = read_path(text, match.end(), names.layout)
        if not path.bucket and not path.cut:
            continue
        new, reason = judge(path, names)
        if new is not None and (trouble := trouble_in_command(text, match.start(), path, names)):
            new, reason = None, trouble
        end = template_end(text, path) if reason else path.end
        yield Found(match.start(), end, match[0] + new if new is not None else None, reason)


def find_unknown_aliases(text: str, names: Names) -> Iterator[Found]:
    """Every path of a command line of mc under an alias that is not configured."""
    old = re.compile(rf"(?<![\w./-])[A-Za-z][\w-]*/{names.old_bucket}")
    templates = re.compile(r"(?<=\s)[A-Za-z][\w-]*/\$[A-Za-z_{(][\w}]*")
    for line in _MC_LINE.finditer(text):
        makes = re.search(r"\s(?:mb|rb)\s", line[0])
        for pattern in (old, templates) if makes else (old,):
            for match in pattern.finditer(text, line.start("rest"), line.end("rest")):
                yield Found(match.start(), match.end(), reason=UNKNOWN_ALIAS)
    for line in _RCLONE_LINE.finditer(text):
        for match in re.finditer(rf"(?<![\w./-])[A-Za-z][\w-]*:/?{names.old_bucket}", line[0]):
            yield Found(line.start() + match.start(), line.start() + match.end(), reason=RCLONE)


# -- mc mb: many buckets become one ------------------------------------------------------------------------


def find_made_buckets(text: str, names: Names) -> Iterator[Found]:
    """Lines that make old buckets: each run of them becomes the one line that makes the target bucket.

    Only lines with exactly one such command count, and only the last line of a run is kept, with its connection to the
    next line. A second run is certain only if its command accepts an existing bucket.
    """
    pattern = _made(names)
    made: set[tuple[str, bool]] = set()
    run: list[re.Match[str]] = []
    for match in [*pattern.finditer(text), None]:
        if run and (match is None or not _goes_on(run[-1], match)):
            yield from _judge_run(run, names, made)
            run = []
        if match is not None:
            run.append(match)


def _made(names: Names) -> re.Pattern[str]:
    """A line that makes buckets of the lake under one alias, and does nothing else."""
    bucket = f"(?:{alternatives((*names.old_buckets, names.layout.target_bucket))})/?"
    flag = r"-[\w-]+(?:=\S+)?[ \t]+"
    lead = r"[ \t]*(?P<comment>#[ \t]*)?(?:-[ \t]+|\$[ \t]+)?(?:[\w./-]*/)?(?:mc|mcli)[ \t]+mb[ \t]+"
    lead += rf"(?P<flags>(?:{flag})*)"
    paths = rf"(?P<alias>{alternatives(names.aliases)})/{bucket}(?:[ \t]+(?P=alias)/{bucket})*"
    tail = r"[ \t]*(?:(?:;|&&|\|\|[ \t]*(?:true|:)[ \t]*(?:;|&&)?)[ \t]*\\?)?[ \t]*\r?"
    return re.compile(rf"^(?P<lead>{lead})(?P<paths>{paths}){tail}(?:\n|\Z)", re.MULTILINE)


def _goes_on(last: re.Match[str], match: re.Match[str]) -> bool:
    """True if this line follows directly after the last one of a run, and is the same command."""
    return match.start() == last.end() and all(match[part] == last[part] for part in ("lead", "alias"))


def _judge_run(run: list[re.Match[str]], names: Names, made: set[tuple[str, bool]]) -> Iterator[Found]:
    last, target = run[-1], f"{run[-1]['alias']}/{names.layout.target_bucket}"
    key = (last["alias"], bool(last["comment"]))
    again = key in made and not re.search(r"(?:^|\s)(?:-p|--ignore-existing)\s", last["flags"])
    whole = all(
        names.is_whole(bucket)
        for line in run
        for bucket in (path.rstrip("/").partition("/")[2] for path in line["paths"].split())
        if bucket != names.layout.target_bucket
    )
    made.add(key)
    if again or not whole:
        for line in run:
            if line["paths"] != target:
                yield Found(line.start("paths"), line.end("paths"), reason=MADE_ALREADY if again else STAYS_IN_PART)
        return
    for line in run[:-1]:
        yield Found(line.start(), line.end(), "")
    yield Found(last.start("paths"), last.end("paths"), None if last["paths"] == target else target)
