"""The format of a file of deletes is told by its first bytes."""

from __future__ import annotations

import pytest

from iceberg.avro_files import avro
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
        (b"ORC" + b"x" * 50, "Postscript|postscript"),
        (avro("long", [1]), "its records are of the type long"),
        (b"PFA1" + b"x" * 50, "no complete Puffin file"),
        (b"\0\0\0\x08\xd1\xd3\x39\x64" + b"x" * 50, "the length that it announces"),
    ],
)
def test_the_first_bytes_decide(data, reason):
    for function in (lambda d, p: rewrite_deletes(d, str, p), delete_paths):
        with pytest.raises(Unreadable, match=reason):
            function(data, PLACE)
