"""Uploading local files to the target."""

from __future__ import annotations

import shutil
from pathlib import Path

from migrator.errors import SourceChanged
from migrator.inventory.local_files import BLOCK, digest
from migrator.planfile.rows import LOCAL, PlannedObject
from migrator.results import Written
from migrator.store import Download, Store, spool


def opened(store: Store, planned: PlannedObject) -> Download:
    """The source of an object as it was planned, in a temporary file. Raises SourceChanged if it has changed since, and
    StoreError."""
    if planned.bucket != LOCAL:
        return store.download(planned.bucket, planned.key, etag=planned.etag)
    copy = spool()
    try:
        with Path(f"/{planned.key}").open("rb") as file:
            shutil.copyfileobj(file, copy, BLOCK)
        copy.seek(0)
        if digest(copy, "md5") != planned.etag:
            raise SourceChanged(f"{planned.place} changed since planning.")
        copy.seek(0)
        return Download(copy, {})
    except OSError as error:
        copy.close()
        raise SourceChanged(f"{planned.place} cannot be read any more: {error.strerror}.") from error
    except BaseException:
        copy.close()
        raise


def upload(store: Store, target_bucket: str, planned: PlannedObject, replaces: str | None) -> Written:
    """Upload one local file without changes. At the target only an object with the ETag ``replaces`` is overwritten.
    Raises as :func:`opened`, and Occupied if the target has an object with other bytes."""
    with opened(store, planned) as source:
        size, etag = store.upload(
            target_bucket, planned.target or "", source.file, source.attributes, replace=False, replaces=replaces
        )
    return Written(size, etag)
