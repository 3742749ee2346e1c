"""Files of position deletes and deletion vectors: map the paths of the data files that they delete from.

============  =========================================  ====================================================
module        file                                       method
============  =========================================  ====================================================
``parquet``   position deletes in Parquet                decoded and encoded again
``orc``       position deletes in ORC                    decoded and encoded again
``avro_rows`` position deletes in Avro                   byte spans replaced in the records
``puffin``    deletion vectors, with or without Puffin   strings replaced in the footer, blobs left in place
``rows``      what the position deletes share
============  =========================================  ====================================================

Position deletes are sorted by (file_path, pos) (Iceberg table spec, "Position Delete Files"), and a mapping
of several prefixes can change the order of the paths: then the rows are sorted again, otherwise they keep their order.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from migrator.errors import Unreadable
from migrator.iceberg import Mapping

if TYPE_CHECKING:
    from migrator.iceberg.deletes.rows import RewrittenDeletes

_FORMATS = {b"PAR1": "parquet", b"ORC": "orc", b"Obj\x01": "avro_rows", b"PFA1": "puffin"}
"""The first bytes of a file → the module for it. It is imported for the first such file: importing Arrow takes long,
and most runs need none or one of the formats."""
_NAMES = {"parquet": "PARQUET", "orc": "ORC", "avro_rows": "AVRO", "puffin": "PUFFIN"}
"""Module → the format, as manifests name it."""


def rewrite_deletes(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """The file with every path in it mapped; the same bytes object if none changes.

    The first bytes show the format. Raises Unreadable for a file that is damaged or of no known format,
    lacks a path or position somewhere, or cannot be written back with the same columns.
    """
    rewritten: RewrittenDeletes = _format(data, place).rewrite(data, mapping, place)
    return rewritten


def delete_paths(data: bytes, place: str) -> set[str]:
    """The distinct data files that the file names; none for a deletion vector outside of a Puffin file.

    Raises Unreadable as the rewrite does, but does not check whether the file can be written back.
    """
    paths: set[str] = _format(data, place).paths(data, place)
    return paths


def format_of(data: bytes, place: str) -> str:
    """The format of the file as its first bytes show it, in upper case as manifests name it. Raises Unreadable."""
    return _NAMES[_format(data, place).__name__.rpartition(".")[2]]


def _format(data: bytes, place: str) -> Any:
    for magic, name in _FORMATS.items():
        if data.startswith(magic):
            return importlib.import_module(f"migrator.iceberg.deletes.{name}")
    from migrator.iceberg.deletes import puffin

    if puffin.is_bare(data):
        return puffin
    raise Unreadable(place, "it is no file of deletes in Parquet, ORC, Avro or Puffin")
