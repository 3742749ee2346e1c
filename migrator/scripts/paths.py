"""Reads and judges one path in a text: ``bucket`` or ``bucket/key``, in any context. Pure: no I/O.

The text after a path shows where it ends. Its end may be unknown: a template (``s3a://silver/${day}``), a wildcard, or
text that a program appends. Then the path is certain only if the known part determines the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from migrator.layout import Layout, Rule
from migrator.scripts.found import Names

TEMPLATE_BUCKET = "a template or joined text fills in the bucket"
TEMPLATE_NAME = "the name of the bucket continues in a template or in joined text"
TEMPLATE_KEY = "a template, a wildcard or joined text decides which rule of the layout applies"
NO_RULE = "no rule of the layout says where this goes"
ODD_END = "what follows the path decides which rule of the layout applies"
ESCAPED = "an escape follows the path"
SPELLING = "with another spelling, this path has another rule"

_BUCKET = re.compile(r"[A-Za-z0-9._-]*")
_TEMPLATE = r"\$[A-Za-z_{(0-9@]|\{|\*|\?|\[|%(?![0-9A-F][0-9A-Fa-f])|<[A-Za-z]|#\{|\.[*+?]|(?<=/)\("
_KEY = re.compile(
    rf"(?:(?!{_TEMPLATE}|(?:s3[an]?|https?|hdfs|file)://|arn:)[^\s\"'`<>,;()\[\]{{}}|\\])*", re.IGNORECASE
)
_CUT = re.compile(_TEMPLATE)
# "…" + x, "…" || x, "…" . $x, "…"$x and …"$x"; PHP's dot only before a variable.
_JOINED = re.compile(r"[\"'`]?[\"']\$[A-Za-z_{(]|[\"'`]\s*(?:\+(?!\+)|\|\||\.\s*\$|\.concat\()")
_NEXT_STRING = re.compile(r"[\"']\s+[frbu]{0,2}[\"'](?!s3[an]?:|[/.-])", re.IGNORECASE)
_JOINED_WITH_SLASH = re.compile(r"[\"'`]\s*\)\s*/\s*[\"'A-Za-z_(]")
_JOIN_CALL = re.compile(r"(?:join|concat|concat_ws|format|urljoin)\s*\(\s*[frbu]{0,2}[\"'`]$", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:[-._/]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|\r?\n(?=\S))")
_LOOK_BACK = 200
"""How many characters before a path are read."""
_REST = re.compile(r"[^\s\"'`,;)]{0,80}")
_MORE_ARGUMENTS = re.compile(r"[\"'`]\s*,\s*[^\s)]")


@dataclass(frozen=True, slots=True)
class PathInText:
    """A path that begins somewhere in a text. ``key`` is None for a bucket alone, without a slash. ``cut``: an unknown
    part may follow. ``end``: the end of the known part. ``joined``: a program adds the slash at the end of the
    key."""

    bucket: str
    key: str | None
    cut: bool
    end: int
    escaped: bool = False
    joined: bool = False

    @property
    def bare(self) -> bool:
        """True if this certainly names a bucket as a whole."""
        return not self.key and not self.cut


def read_path(text: str, at: int, layout: Layout) -> PathInText:
    """Read the path whose bucket begins at ``at``. An empty bucket means that a template fills it in, or that there is
    none."""
    match = _BUCKET.match(text, at)
    bucket = match[0] if match else ""
    end = at + len(bucket)
    key: str | None = None
    if bucket and text.startswith("/", end):
        rest = _KEY.match(text, end + 1)
        start, end = end + 1, (rest.end() if rest else end + 1)
        end = max([end, *(start + len(prefix) for prefix in _prefixes_at(text, start, bucket, layout))])
        key = text[start:end]
    cut = bool(_CUT.match(text, end)) or _is_joined(text, at, end)
    joined = not cut and not text.startswith("/", end - 1) and bool(_JOINED_WITH_SLASH.match(text, end))
    if joined:
        cut, key = True, f"{key}/" if key else ""
    next_one = text[end : end + 1]
    escaped = bool(_ESCAPE.match(text, end)) or (key is None and (next_one == "%" or next_one.isalpha()))
    return PathInText(bucket, key, cut, end, escaped, joined)


def _prefixes_at(text: str, start: int, bucket: str, layout: Layout) -> list[str]:
    """The prefixes of rules with which the text continues; a prefix may contain blanks and other characters that end a
    path."""
    ends = re.compile(r"(?![A-Za-z0-9._-])")
    return [
        rule.prefix
        for rule in layout.rules
        if rule.bucket == bucket and text.startswith(rule.prefix, start) and ends.match(text, start + len(rule.prefix))
    ]


def _is_joined(text: str, at: int, end: int) -> bool:
    if _JOINED.match(text, end) or (text[end - 1] == "/" and end > at and _NEXT_STRING.match(text, end)):
        return True
    before = text[max(text.rfind("\n", 0, at) + 1, at - _LOOK_BACK) : at]
    scheme = re.search(r"[\"'`](?:[A-Za-z0-9+.-]+:/+)?[^\"'`]*$", before)
    opened = before[: scheme.start() + 1] if scheme else ""
    return bool(_JOIN_CALL.search(opened) and _MORE_ARGUMENTS.match(text, end))


def judge(path: PathInText, names: Names) -> tuple[str | None, str | None]:
    """(new path without a scheme, None) if it is certain, (None, reason) if a person must check it, (None, None) if it
    stays: it is no path of the lake, the layout leaves it there, or it lies in the target already."""
    layout = names.layout
    if path.cut and path.key is None:
        return None, _judge_cut_name(path.bucket, names)
    if path.bucket not in layout.buckets:
        shorter = path.bucket.rstrip("._-")
        like_an_end = path.key is None and shorter in names.old_buckets
        return None, ODD_END if like_an_end else None
    if path.escaped and path.bucket in names.old_buckets:
        return None, ESCAPED
    key = path.key or ""
    rule = _rule_of(path.bucket, key, layout, cut=path.cut)
    if isinstance(rule, str):
        return None, rule
    if rule is None:
        return None, NO_RULE if path.bucket in names.old_buckets else None
    if ".." in key.split("/") or any(layout.rule_for(path.bucket, other) != rule for other in _other_spellings(key)):
        return None, SPELLING
    if rule.target is None:
        return None, None
    new = layout.map_uri(f"s3://{path.bucket}" + ("" if path.key is None else f"/{path.key}"))
    if new is None:
        return None, NO_RULE
    return (new.removesuffix("/") if path.joined else new).removeprefix("s3://"), None


def template_end(text: str, path: PathInText) -> int:
    """The end of the template or wildcard after a path, so that messages show it completely."""
    match = _REST.match(text, path.end) if path.cut else None
    return match.end() if match else path.end


def _judge_cut_name(bucket: str, names: Names) -> str | None:
    if not bucket:
        return TEMPLATE_BUCKET
    is_pattern = bucket.endswith(".") and bucket[:-1] in names.old_buckets  # a regular expression: bronze.*
    return TEMPLATE_NAME if is_pattern or any(old.startswith(bucket) for old in names.old_buckets) else None


def _rule_of(bucket: str, key: str, layout: Layout, *, cut: bool) -> Rule | str | None:
    """The rule of a key, or of every key that begins with it if more may follow; otherwise the reason why there is
    none."""
    if not cut:
        return layout.rule_for(bucket, key)
    rule = layout.rule_for(bucket, key) if not key or key.endswith("/") else layout.rule_for(bucket, _folder(key))
    for other in layout.rules:
        if other.bucket != bucket or other == rule or not f"{other.prefix}/".startswith(key) or not other.prefix:
            continue
        if rule is None or other.target is None or other.target != rule.move(other.prefix):
            return TEMPLATE_KEY
    return rule


def _folder(key: str) -> str:
    """The folder of a key to which text may be added: ``a/b`` for ``a/b/c``, "" for ``c``."""
    return key.rpartition("/")[0]


def _other_spellings(key: str) -> tuple[str, ...]:
    """The key as other programs may read it: decoded, without empty levels, without the end of a sentence."""
    collapsed = re.sub(r"/(?:\.?/)+", "/", f"/{key}")[1:]
    return unquote(key), collapsed, key.rstrip(".:!?*_~-")
