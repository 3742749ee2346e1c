"""ETags as S3 makes them, and the parts that they tell of. Pure.

What was put in one request has the MD5 of its bytes for an ETag; what was uploaded in parts, the MD5 of the parts'
MD5s, a dash, and their number. An encrypting server's ETags look alike and are neither.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

MAX_PARTS = 10_000


def part_count(etag: str) -> int:
    """In how many parts an object with this ETag was uploaded; 0 if in one request, or if the ETag does not tell."""
    return int(etag[33:]) if re.fullmatch(r"[0-9a-f]{32}-[0-9]{1,5}", etag) else 0


def part_ranges(size: int, part_size: int) -> Iterator[tuple[int, int]]:
    """The (first, last) byte of each part of an object of ``size`` bytes, 10,000 parts at most."""
    part_size = max(part_size, -(-size // MAX_PARTS))
    for start in range(0, size, part_size):
        yield start, min(start + part_size, size) - 1


def parts_to_make(etag: str, known: int | None, usual: int, most: int, least: int = 1) -> tuple[int, bool]:
    """The size of the parts in which to copy an object, and whether its ETag comes out the same: they are those of
    the source, which are ``known``, if these are of ``least`` to ``most`` bytes (a single one may be smaller)."""
    if known is not None and known <= most and (known >= least or part_count(etag) == 1):
        return known, True
    return usual, False


def etag_of_parts(digests: Iterable[bytes]) -> str:
    """The ETag of an object of parts with these MD5s."""
    joined = list(digests)
    return f"{hashlib.md5(b''.join(joined), usedforsecurity=False).hexdigest()}-{len(joined)}"


def is_md5(etag: str) -> bool:
    """True if it looks like an ETag that follows from the bytes. That of an encrypted object may look so, too."""
    return re.fullmatch(r"[0-9a-f]{32}(-[0-9]{1,5})?", etag) is not None


def same_by_etag(etag: str, other: str) -> bool:
    """True if these ETags say that two objects have equal bytes: they are equal, or one object was uploaded in one
    part and the other in one request (its ETag is the MD5 that the other's is an MD5 of)."""
    one, parts = sorted((etag, other), key=part_count)
    if one == parts:
        return True
    plain = re.fullmatch(r"[0-9a-f]{32}", one) is not None
    return plain and part_count(parts) == 1 and etag_of_parts([bytes.fromhex(one)]) == parts


class RunningETag:
    """The ETag of bytes that come in order, if they were uploaded in parts of ``part_size`` bytes; None stands for
    one request."""

    def __init__(self, part_size: int | None) -> None:
        self._part_size = part_size
        self._digests: list[bytes] = []
        self._begin()

    @classmethod
    def like(cls, etag: str, part_size: int | None) -> RunningETag | None:
        """What leads to an ETag like this one; None if it is of parts whose size nobody knows."""
        return cls(part_size) if "-" not in etag or part_size is not None else None

    def update(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            piece = left if self._room is None else left[: self._room]
            self._digest.update(piece)
            left = left[len(piece) :]
            if self._room is not None:
                self._room -= len(piece)
                if not self._room:
                    self._end()

    def etag(self) -> str:
        """Of all bytes so far. Call it once, at the end."""
        if self._part_size is None:
            return self._digest.hexdigest()
        if self._room != self._part_size:
            self._end()
        return etag_of_parts(self._digests)

    def _begin(self) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)
        self._room = self._part_size

    def _end(self) -> None:
        self._digests.append(self._digest.digest())
        self._begin()
