"""ETags of S3, and what they say about the parts of an upload. Pure.

The ETag of an object that was put in one request is the MD5 of its bytes. If it was uploaded in parts, it is the MD5 of
the MD5s of the parts, a dash, and their number. An encrypting server's ETags look the same and are neither.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

MAX_PARTS = 10_000
"""S3's limit for the parts of one upload."""


def part_count(etag: str) -> int:
    """In how many parts an object with this ETag was uploaded; 0 for one request, or for an ETag of another form."""
    return int(etag[33:]) if re.fullmatch(r"[0-9a-f]{32}-[0-9]{1,5}", etag) else 0


def part_ranges(size: int, part_size: int) -> Iterator[tuple[int, int]]:
    """The (first, last) byte of each part of an object of ``size`` bytes, 10,000 parts at most."""
    part_size = max(part_size, -(-size // MAX_PARTS))
    for start in range(0, size, part_size):
        yield start, min(start + part_size, size) - 1


def parts_to_make(etag: str, known: int | None, usual: int, most: int, least: int = 1) -> tuple[int, bool]:
    """The size in bytes of the parts in which to copy an object, and whether its copy gets the same ETag. It is the
    size of the source's parts, ``known``, if that is from ``least`` to ``most`` (a single part may be smaller)."""
    if known is not None and known <= most and (known >= least or part_count(etag) == 1):
        return known, True
    return usual, False


def etag_of_parts(digests: Iterable[bytes]) -> str:
    """The ETag of an object of parts with these MD5s."""
    joined = list(digests)
    return f"{hashlib.md5(b''.join(joined), usedforsecurity=False).hexdigest()}-{len(joined)}"


def is_md5(etag: str) -> bool:
    """True for the form of an ETag that is computed from the bytes. That of an encrypted object may have this form."""
    return re.fullmatch(r"[0-9a-f]{32}(-[0-9]{1,5})?", etag) is not None


def same_by_etag(etag: str, other: str) -> bool:
    """True if these ETags say that two objects have equal bytes: they are equal, or one object was uploaded in one
    part and the other in one request (then the first ETag is the MD5 of the second one)."""
    one, parts = sorted((etag, other), key=part_count)
    if one == parts:
        return True
    plain = re.fullmatch(r"[0-9a-f]{32}", one) is not None
    return plain and part_count(parts) == 1 and etag_of_parts([bytes.fromhex(one)]) == parts


class RunningETag:
    """Computes the ETag of bytes that are given in order, as if they were uploaded in parts of ``part_size`` bytes;
    None stands for one request."""

    def __init__(self, part_size: int | None) -> None:
        self._part_size = part_size
        self._digests: list[bytes] = []
        self._begin()

    @classmethod
    def like(cls, etag: str, part_size: int | None) -> RunningETag | None:
        """Computes an ETag that can be compared with this one; None if it is of parts whose size is not known."""
        return cls(part_size) if "-" not in etag or part_size is not None else None

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
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
        """The ETag of all bytes. Call it once, at the end."""
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
