"""Setting the version hint of a table of a Hadoop catalog to another version."""

from __future__ import annotations

from migrator.catalogs.hadoop import VERSION_HINT_FILE, read_hint
from migrator.errors import CatalogError
from migrator.iceberg.metadata import metadata_version
from migrator.layout import Location
from migrator.store import Store


def point_hint_to(store: Store, identifier: str, metadata: Location) -> None:
    """Write the version of this metadata file into the version hint in its folder. ``identifier``: of the table, for
    messages.

    Raises CatalogError if somebody else changes the hint at the same time, or if the file's name has no version.
    """
    folder, _, name = metadata.key.rpartition("/")
    key, version = f"{folder}/{VERSION_HINT_FILE}", metadata_version(name)
    if version is None:
        raise CatalogError(f"{identifier}: {metadata.uri} has no version in its name, so no version hint can name it.")
    content = str(version).encode()
    present = store.find(metadata.bucket, key)
    if read_hint(lambda: store.get(metadata.bucket, key).data) == content:
        return
    if store.put_if(metadata.bucket, key, content, etag=present.etag if present else None) is None:
        raise CatalogError(
            f"{identifier}: s3://{metadata.bucket}/{key} was changed meanwhile, by another writer.",
            next_move="Stop the writers, and run the same command again.",
        )
