"""The absolute paths inside an Iceberg table: read them, and write the same file with other ones.

Pure functions from bytes and a mapping to bytes. Nothing here opens a connection or knows a bucket; the
caller reads, maps and writes. Everything that is not a path is kept byte for byte where the format allows
it, unknown keys, header entries and number text included.

=============  =====================================================  ==================================
module         file                                                   method
=============  =====================================================  ==================================
``metadata``   table metadata JSON, plain, gzip or zstandard          string tokens replaced in the text
``views``      view metadata JSON                                     the same; SQL stays
``json_text``  the JSON underneath them and Puffin footers
``manifests``  manifest lists and manifests, format versions 1 to 3   byte spans replaced in Avro records
``avro``       the Avro container underneath them
``deletes``    position deletes (Parquet, ORC, Avro) and deletion     one module for each format
               vectors (Puffin)
=============  =====================================================  ==================================

Work leaf first: delete files, then the manifests that record their size and bounds, then the manifest lists
that record the manifests' sizes, then the metadata JSON.

A ``mapping`` takes a path exactly as it is written and returns the new one, or None when no rule covers it.
``place`` is the URI that messages name. Anything malformed, truncated or of an unknown kind raises
:class:`migrator.errors.Unreadable`; a path that must move but cannot raises
:class:`migrator.errors.UnmappedPath`. Every function is deterministic, and with a mapping that changes
nothing it returns the bytes it was given.
"""

from __future__ import annotations

from collections.abc import Callable

Mapping = Callable[[str], str | None]
"""Old path → new path, or None when no rule covers it."""
