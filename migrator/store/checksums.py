"""The checksums that S3 keeps with an object on request: of bytes, and of a whole object from those of its parts. Pure.

What was uploaded in parts with CRC32 (boto3's default) or CRC32C keeps a checksum of the parts' checksums, of kind
COMPOSITE. A copy in one request keeps one over all bytes, of kind FULL_OBJECT. CRCs are linear, so that of the whole
follows from those of the parts and their sizes (as zlib's crc32_combine does it).
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

CHECKSUMS = ("CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1")
"""The algorithms of S3."""
POLYNOMIALS = {"CRC32": 0xEDB88320, "CRC32C": 0x82F63B78}
"""Reflected, as both are computed."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that S3 keeps with an object. ``kind``: FULL_OBJECT, or COMPOSITE (over those of the parts)."""

    algorithm: str
    value: str
    kind: str


def kept_checksum(answer: Mapping[str, str]) -> Checksum | None:
    """The checksum in boto3's answer to a HEAD; None if the server keeps none."""
    for algorithm in CHECKSUMS:
        if value := answer.get(f"Checksum{algorithm}"):
            kind = answer.get("ChecksumType") or ("COMPOSITE" if "-" in value else "FULL_OBJECT")
            return Checksum(algorithm, value, kind)
    return None


def checksum_of(algorithm: str, data: bytes) -> str | None:
    """The checksum of some bytes as S3 writes it; None for an algorithm that cannot be computed here: CRC32C and
    CRC64NVME need the package awscrt, which boto3 uses for them, too."""
    compute = _ALGORITHMS.get(algorithm)
    return None if compute is None else base64.b64encode(compute(data)).decode()


def can_compute(algorithm: str) -> bool:
    """True if :func:`checksum_of` knows the algorithm."""
    return algorithm in _ALGORITHMS


def whole_checksum(headers: Mapping[str, str]) -> dict[str, str]:
    """Of the headers of an answer, the one that tells a checksum over all bytes of the object; {} if there is none."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return {}
    names = (name for name in headers if name.startswith("x-amz-checksum-") and name != "x-amz-checksum-type")
    return {name: headers[name] for name in names if "-" not in headers[name]}


def whole_crc(algorithm: str, parts: Iterable[tuple[int, str]]) -> str:
    """The checksum of all bytes. ``parts``: the size in bytes of each part, in order, and its checksum as S3 writes
    it. Raises KeyError for another algorithm, ValueError for what is no such checksum."""
    matrix = _one_zero_bit(POLYNOMIALS[algorithm])
    crc = 0
    for size, text in parts:
        raw = base64.b64decode(text, validate=True)
        if len(raw) != 4:
            raise ValueError(f"{text!r} is no {algorithm}")
        crc = _after_zeros(matrix, crc, size * 8) ^ int.from_bytes(raw, "big")
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _known_algorithms() -> dict[str, Callable[[bytes], bytes]]:
    known: dict[str, Callable[[bytes], bytes]] = {
        "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
        "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
        "SHA256": lambda data: hashlib.sha256(data).digest(),
    }
    try:
        from awscrt import checksums
    except ImportError:
        return known
    known["CRC32C"] = lambda data: checksums.crc32c(data).to_bytes(4, "big")
    known["CRC64NVME"] = lambda data: checksums.crc64nvme(data).to_bytes(8, "big")
    return known


_ALGORITHMS = _known_algorithms()


def _one_zero_bit(polynomial: int) -> list[int]:
    """What a further bit 0 makes of each bit of a CRC."""
    return [polynomial] + [1 << bit for bit in range(31)]


def _after_zeros(matrix: Sequence[int], crc: int, bits: int) -> int:
    """The CRC after so many further bits 0, by squaring the matrix."""
    while bits:
        if bits & 1:
            crc = _times(matrix, crc)
        matrix = [_times(matrix, column) for column in matrix]
        bits >>= 1
    return crc


def _times(matrix: Sequence[int], vector: int) -> int:
    total = 0
    for column in matrix:
        if not vector:
            break
        if vector & 1:
            total ^= column
        vector >>= 1
    return total
