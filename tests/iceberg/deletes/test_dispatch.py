"""The first bytes of a file of deletes show its format."""

from __future__ import annotations

import random

import pytest

from iceberg.avro_files import avro
from iceberg.deletes import test_avro, test_orc, test_parquet, test_puffin
from iceberg.deletes.lake import TWO_BUCKETS, moved
from migrator.errors import Unreadable
from migrator.iceberg.deletes import delete_paths, rewrite_deletes

PLACE = "s3://bronze/t/data/deletes.parquet"


@pytest.mark.parametrize("data", [b"", b"PAR", b"PARE" + b"x" * 50 + b"PARE", b"x" * 50, b"\0\0\0\x08PFA1"])
def test_other_formats_are_unreadable(data):
    for function in (lambda d, p: rewrite_deletes(d, str, p), delete_paths):
        with pytest.raises(Unreadable, match=r"deletes\.parquet cannot be read: it is no file of deletes"):
            function(data, PLACE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PAR1" + b"x" * 50, "no complete Parquet file"),
        (b"ORC" + b"x" * 50, "no complete ORC file"),
        (avro("long", [1]), "its records are of the type long"),
        (b"PFA1" + b"x" * 50, "no complete Puffin file"),
        (b"\0\0\0\x08\xd1\xd3\x39\x64" + b"x" * 50, "the length that it announces"),
    ],
)
def test_the_first_bytes_decide(data, reason):
    for function in (lambda d, p: rewrite_deletes(d, str, p), delete_paths):
        with pytest.raises(Unreadable, match=reason):
            function(data, PLACE)


@pytest.mark.parametrize(
    "data",
    [
        test_parquet.deletes(TWO_BUCKETS),
        test_orc.deletes(TWO_BUCKETS),
        test_orc.deletes(TWO_BUCKETS, compression="uncompressed"),
        test_avro.deletes(TWO_BUCKETS),
        test_avro.deletes(TWO_BUCKETS, "deflate"),
        test_puffin.puffin_of(*test_puffin.PATHS),
    ],
    ids=["parquet", "orc zlib", "orc", "avro", "avro deflate", "puffin"],
)
def test_damage_is_unreadable_or_harmless_and_never_another_error(data):
    chance = random.Random(7)
    unreadable = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 5))):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            moved(bytes(damaged))
        except Unreadable:
            unreadable += 1
    assert unreadable > 100
