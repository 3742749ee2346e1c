"""Rewriting of files that name a path in each line: the logs of Spark's file sources and sinks, and symlink manifests.

A log of Spark is a line ``v1`` and then one line for each file with a JSON object, without a line break at the end::

    v1
    {"path":"s3a://bronze/in/a%20b.json","timestamp":1764194400000,"batchId":0}

Its paths are URIs as ``java.net.URI`` writes them: a space is ``%20``, but letters such as ü stay. Two things change:
the beginning of a path, and the time of the file, ``timestamp`` in the log of a file source, ``modificationTime`` in
that of a file sink. Spark forgets files that are older than the newest one by more than ``maxFileAge`` (7 days), and
reads every file that is not in its log if its LastModified is newer than that. If the logs kept the old times, Spark
could read all copies again, so the logs get LastModified of each copy. That is needed in both logs: a stream that reads
the output of a sink takes the times from the sink's log, or from a listing if it reads only some of its folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.json_text import Token, replace_strings

VERSION = b"v1"
_LONGEST_VERSION = 100
"""Bytes that are read to find the end of the first line."""
_LEGAL = "-_.!~'()*,;:$&+=@/"
"""The characters that ``java.net.URI`` does not encode in a path, in addition to letters and digits."""
_S3_LINE = re.compile(rb"[sS]3[aAnN]?://")

Modified = Callable[[str], int | None]
"""The URI of a file at its new place → the time that the log must have, in milliseconds since the epoch; None to keep
the recorded time."""


def log_time(modified: int) -> int:
    """The time for a file with this LastModified, in milliseconds: rounded up to whole seconds. It must not be earlier
    than the time that Spark sees, with or without milliseconds."""
    return -(-modified // 1000) * 1000


def rewrite_log(
    source: BinaryIO, sink: BinaryIO, mapping: Mapping, place: str, time_key: str, modified: Modified
) -> None:
    """Write the log with its paths mapped, and the times of these files under ``time_key``; every other byte stays, and
    so do lines for whose paths the mapping returns None.

    Raises Unreadable for a log that is not of version 1, and for a line that is not a JSON object with a path and a
    time; UnmappedPath if the mapping raises it.
    """
    first = source.readline(_LONGEST_VERSION)
    check_version(first, place)
    sink.write(first)
    for number, line in enumerate(source, start=2):
        body = line.rstrip(b"\r\n")
        sink.write(
            _rewritten_line(body, mapping, f"{place}, line {number}", time_key, modified) if body.strip() else body
        )
        sink.write(line[len(body) :])


def rewrite_manifest_of_links(source: BinaryIO, sink: BinaryIO, mapping: Mapping, place: str) -> None:
    """Write a manifest that has one path in each line, such as those in ``_symlink_format_manifest``, with its paths
    mapped. They are not encoded. Raises Unreadable for a line that is not UTF-8."""
    for number, line in enumerate(source, start=1):
        body = line.rstrip(b"\r\n")
        if _S3_LINE.match(body):
            path = _text(body, f"{place}, line {number}")
            sink.write((mapping(path) or path).encode())
        else:
            sink.write(body)
        sink.write(line[len(body) :])


def paths_of_log(source: BinaryIO, place: str) -> Iterator[str]:
    """The path in each line of a log of Spark, decoded. Raises as :func:`rewrite_log`."""
    check_version(source.readline(_LONGEST_VERSION), place)
    for number, line in enumerate(source, start=2):
        if line.strip():
            where = f"{place}, line {number}"
            yield decoded(_path(_entry(_text(line, where), where), where), where)


def check_version(line: bytes, place: str) -> None:
    """Raises Unreadable if this first line is not that of a log of version 1."""
    if line.rstrip(b"\r\n") != VERSION:
        shown = line[:20].decode("utf-8", "replace").strip()
        raise Unreadable(place, f"its first line is {shown!r}; only logs of version 1 ('v1') are rewritten")


def check_links(data: bytes, place: str) -> None:
    """Raises Unreadable if a line of this data does not begin with a path in S3."""
    for number, line in enumerate(data.splitlines()[:-1] or data.splitlines(), start=1):
        if line.strip() and not _S3_LINE.match(line):
            raise Unreadable(place, f"line {number} is not a path in S3")


def decoded(uri: str, place: str) -> str:
    """The path of a URI in a log of Spark. Raises Unreadable if it is not UTF-8."""
    try:
        return unquote(uri, errors="strict") if "%" in uri else uri
    except UnicodeDecodeError as error:
        raise Unreadable(place, f"its path {uri[:200]!r} is not UTF-8") from error


def mapped_uri(uri: str, mapping: Mapping, place: str) -> str:
    """The URI of a file at its new place, with the old encoding for the part of the path that stays the same."""
    plain = decoded(uri, place)
    new = mapping(plain)
    if new is None or new == plain:
        return uri
    rest = _shared_end(plain, new)
    return _encoded(new[: len(new) - len(rest)]) + _as_spelled(uri, rest)


def _shared_end(one: str, other: str) -> str:
    """The common end of two paths, from a slash on."""
    count = 0
    while count < min(len(one), len(other)) and one[-count - 1] == other[-count - 1]:
        count += 1
    end = one[len(one) - count :]
    slash = end.find("/")
    return end[slash:] if slash >= 0 else ""


def _as_spelled(uri: str, rest: str) -> str:
    """The end of the URI that decodes to ``rest``."""
    at = len(uri) - len(rest)  # an encoded text is never shorter
    while at > 0 and unquote(uri[at:]) != rest:
        at -= 1
    return uri[at:]


def _encoded(path: str) -> str:
    scheme, separator, rest = path.partition("://")
    return scheme + separator + "".join(char if ord(char) > 127 else quote(char, safe=_LEGAL) for char in rest)


def _rewritten_line(body: bytes, mapping: Mapping, place: str, time_key: str, modified: Modified) -> bytes:
    text = _text(body, place)
    entry = _entry(text, place)
    old = _path(entry, place)
    new = mapped_uri(old, mapping, place)
    if new == old:
        return body

    def edit(token: Token) -> str | None:
        return new if token.path == ("path",) else None

    return _with_time(replace_strings(text, edit), entry, time_key, modified(decoded(new, place)), place).encode()


def _with_time(text: str, entry: dict[str, Any], key: str, now: int | None, place: str) -> str:
    if type(entry.get(key)) is not int:
        raise Unreadable(place, f"it has no {key}, so it is not the log that Spark writes")
    if now is None:
        return text
    changed, count = re.subn(rf'("{key}"\s*:\s*)(-?[0-9]+)', rf"\g<1>{now}", text)
    if count != 1:
        raise Unreadable(place, f"it holds the word {key} more than once")
    return changed


def _text(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(place, f"it is not UTF-8: {error.reason} at byte {error.start}") from error


def _entry(text: str, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(place, f"it is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise Unreadable(place, "it is no JSON object")
    return entry


def _path(entry: dict[str, Any], place: str) -> str:
    path = entry.get("path")
    if not isinstance(path, str):
        raise Unreadable(place, "it names no path")
    return path
