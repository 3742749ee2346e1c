"""The absolute paths inside an Iceberg table: read them, and write the same file with other paths.

Pure functions from bytes and a mapping to bytes: the caller reads and writes the files. Everything that is not a path
is kept byte for byte where the format allows it, including unknown keys, header entries and number text.

=============  =====================================================  ==================================
module         file                                                   method
=============  =====================================================  ==================================
``metadata``   table metadata JSON, plain, gzip or zstandard          string tokens replaced in the text
``views``      view metadata JSON                                     the same; SQL stays
``json_text``  the JSON of metadata files and Puffin footers
``manifests``  manifest lists and manifests, format versions 1 to 3   byte spans replaced in Avro records
``avro``       the Avro containers of manifest lists and manifests
``deletes``    position deletes (Parquet, ORC, Avro) and deletion     one module for each format
               vectors (Puffin)
=============  =====================================================  ==================================

Rewrite in this order: delete files; the manifests, which record the sizes and bounds of delete files; the manifest
lists, which record the sizes of manifests; the metadata JSON.

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
