"""Old paths in packed files are found without unpacking them to any size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest

from migrator.errors import Unreadable
from migrator.layout import Layout
from migrator.scripts import Names
from migrator.scripts.packed import MAYBE, MOST_UNPACKED, NO, YES, names_old_path

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/"})


@pytest.fixture
def names() -> Names:
    return Names(LAYOUT)


def zipped(*members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number}.py", member)
    return sink.getvalue()


def tarred(*members: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for number, member in enumerate(members):
            info = tarfile.TarInfo(f"{number}.py")
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    return sink.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "py.gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "jar": lambda data: zipped(b"\0class", data),
    "pex": lambda data: b"#!/usr/bin/env python\n" + zipped(data),
    "tar": lambda data: tarred(b"print(1)", data),
    "tar.gz": lambda data: gzip.compress(tarred(data)),
    "jar in zip": lambda data: zipped(zipped(data)),
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"spark.read.load('s3a://bronze/x')", YES),
        (b"get_object(Bucket='bronze')", MAYBE),
        (b"spark.read.load('s3a://other/x')", NO),
        (b"\0\xff s3a://bronze/x", YES),
        (b"spark.read.load(f's3a://{layer}/x')", MAYBE),
    ],
)
def test_whatever_it_is_packed_with(names: Names, kind: str, text: bytes, found: int) -> None:
    assert names_old_path(kind, PACKERS[kind](text), names) == found


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_not_unpacked(names: Names, kind: str) -> None:
    packed = PACKERS[kind](bytes(MOST_UNPACKED + 1))
    with pytest.raises(Unreadable, match="unpacks to more than 16 MiB"):
        names_old_path(kind, packed, names)


@pytest.mark.parametrize("kind", PACKERS)
def test_what_is_cut_off_is_unknown_or_no_archive(names: Names, kind: str) -> None:
    """It never ends with an error that nobody expects."""
    packed = PACKERS[kind](b"print(1)\n" * 50)
    for length in range(0, len(packed), max(1, len(packed) // 100)):
        with suppress(Unreadable):
            assert names_old_path(kind, packed[:length], names) == NO


def test_archives_in_archives_have_an_end(names: Names) -> None:
    packed = b"print(1)"
    for _ in range(10):
        packed = gzip.compress(packed)
    with pytest.raises(Unreadable, match="too many archives"):
        names_old_path("x.gz", packed, names)
