"""Limits for the decompressed size of files. A few kilobytes can decompress to gigabytes, by accident or on purpose. A
file whose content exceeds its bound is reported as unreadable, and takes no more memory than the bound.

========================================  ==========================================================
file                                      content at most
========================================  ==========================================================
metadata JSON of a table or view          64 MiB, or 100 times its packed size up to 256 MiB
a block of an Avro file                   the same
the header of an Avro file                32 MiB and 10,000 entries
the footer of a Puffin or ORC file        64 MiB
a file of position deletes in Parquet     read in a process that may use 768 MiB, or 16 times the
or ORC                                    size of the file, beside what it has at its start
========================================  ==========================================================

Real files stay far below: JSON and manifests compress to a tenth of their size, seldom to a fiftieth.
"""

from __future__ import annotations

MIB = 1 << 20

ALWAYS = 64 * MIB
RATIO = 100
MOST = 256 * MIB

HEADER_BYTES = 32 * MIB
HEADER_ENTRIES = 10_000
FOOTER_BYTES = 64 * MIB

READER_BYTES = 768 * MIB
READER_RATIO = 16


def unpacked(packed: int) -> int:
    """The largest permitted content of ``packed`` compressed bytes, in bytes."""
    return max(ALWAYS, min(MOST, RATIO * packed))
