"""Paths that tables record and that are not in S3: the metadata of a lake that came from HDFS, a local disk or another
cloud may still have the old paths. Pure: no I/O. Two spellings count as the same path only if that is certain: a URI
without an authority may have one slash or three (``file:/x`` is ``file:///x``), and ``s3://``, ``s3a://`` and
``s3n://`` name the same object. Hosts and ports are never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

S3_SCHEMES = frozenset({"s3", "s3a", "s3n"})

_NO_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(?!/)")
_CONTAINER = re.compile(r"(?:abfs|wasb)s?://[^:@]*@[^:@]*")
_HEAD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/]*)?")


def is_s3(path: str) -> bool:
    """True for an ``s3://``, ``s3a://`` or ``s3n://`` URI."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme in S3_SCHEMES


def spelled(path: str) -> str:
    """The path in a normal form, which is the same for all equivalent spellings. Everything after the authority stays
    unchanged."""
    scheme, separator, rest = path.partition("://")
    if separator and scheme in S3_SCHEMES:
        return f"s3://{rest}"
    return _NO_AUTHORITY.sub(r"\1:///", path, count=1) if _NO_AUTHORITY.match(path) else path


def has_password(path: str) -> bool:
    """True if the path may have credentials before the host. In ``abfs://container@account/`` it is the container."""
    start = head(path)
    return "@" in start and not _CONTAINER.fullmatch(start)


def head(path: str) -> str:
    """The part before the path, unchanged: ``hdfs://nn:8020``, ``file:``; "" for a bare path."""
    match = _HEAD.match(path)
    return match[0] if match else ""


def folder_of(path: str) -> tuple[str, str]:
    """(file system, key with a slash at its end) of a folder outside of S3, for comparing folders."""
    whole = spelled(path)
    start = head(whole)
    key = re.sub("/{2,}", "/", whole[len(start) :]).strip("/")
    return start, f"{key}/" if key else ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Paths that tables record under ``prefix``, which is not in S3, stand for objects that go under ``target``.

    ``prefix`` is :func:`spelled` and has no slash at its end; ``target`` is a key in the target bucket, or None to
    leave such paths as they are. ``scheme`` is the scheme of the new URIs.
    """

    prefix: str
    target: str | None
    scheme: str = "s3"

    def covers(self, path: str) -> bool:
        """True if ``path``, which is :func:`spelled`, is the prefix or lies under it, on a ``/`` boundary."""
        if not path.startswith(self.prefix):
            return False
        end = len(self.prefix)
        if self.prefix.endswith(":"):  # file:/// as a whole, but not file://host/
            return path.startswith("///", end)
        return len(path) == end or path.startswith("/", end)

    def move(self, path: str) -> str | None:
        """The target key of a path that this rule covers."""
        if self.target is None:
            return None
        rest = path[len(self.prefix) :]
        if self.prefix.endswith(":"):
            rest = rest[2:]
        return self.target + rest if self.target else rest[1:]

    @property
    def source(self) -> str:
        """The recorded prefix, as ``[layout]`` writes it."""
        return f"{self.prefix}/"

    @property
    def is_local(self) -> bool:
        """True for a local folder, whose files are uploaded to ``target``."""
        return self.prefix.startswith("file:")
