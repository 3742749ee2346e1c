"""Avro object container files, edited by replacing bytes.

The schema in a file's own header shows where each field of a record lies. Only the byte spans of the fields asked for
are decoded or replaced. The header, the sync marker, all other bytes of a record, and every block without a change
are copied byte for byte, so nothing that this package does not understand is lost.

This is written by hand because a decoder and encoder (fastavro, or pyiceberg's) would lose unknown fields and header
entries, and is slower: fastavro, which is C, takes several times the CPU time (``tests/bench/by_hand.py``).

Layout (Avro specification, "Object Container Files"): magic, metadata map, sync marker; then blocks of
record count, byte length, compressed records, sync marker. A file that is truncated exactly between two blocks looks
complete: compare its size with the recorded one.

=============  ==========================================================
module         what it does
=============  ==========================================================
``numbers``    reads and writes integers
``codecs``     compresses and decompresses blocks
``schema``     parses schemas
``matchers``   finds where a value ends
``values``     decodes and encodes values
``records``    finds and replaces the target fields of a record
``container``  reads and rewrites a file
=============  ==========================================================

The modules raise :class:`Malformed`; :class:`Container` turns it into ``Unreadable``, which names the file.
"""

from __future__ import annotations

from migrator.iceberg.avro.container import MAGIC, Container, Part, Source
from migrator.iceberg.avro.records import Record, Target
from migrator.iceberg.malformed import Malformed

__all__ = ["MAGIC", "Container", "Malformed", "Part", "Record", "Source", "Target"]
