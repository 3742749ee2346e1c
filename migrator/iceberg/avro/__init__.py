"""Avro object container files, edited by splicing bytes.

A file is walked with the schema in its own header. Only the byte spans of the fields asked for are decoded
or replaced; the header, the sync marker, all other bytes of a record, and every block in which nothing
changed stay exactly as they were. So nothing that this module does not understand can be lost.

Layout (Avro specification, "Object Container Files"): magic, metadata map, sync marker; then blocks of
record count, byte length, compressed records, sync marker. A file that was cut exactly between two blocks
cannot be told from a complete one: compare the size with the one its parent records.

Numbers, codecs and schemas are the specification's; ``places`` walks over values, fast; ``records`` finds the
fields asked for in a record; ``container`` reads and writes the file. Inside, faults are :class:`Malformed`;
:class:`Container` turns them into ``Unreadable``.
"""

from __future__ import annotations

from migrator.iceberg.avro.container import MAGIC, Container, Source
from migrator.iceberg.avro.records import Record, Target
from migrator.iceberg.malformed import Malformed

__all__ = ["MAGIC", "Container", "Malformed", "Record", "Source", "Target"]
