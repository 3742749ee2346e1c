"""Reads scripts in the lake and rewrites them in memory: for ``rewrite-config s3://…``."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import ConfigError, StoreError, Unreachable
from migrator.layout import Location
from migrator.progress import Progress
from migrator.scripts.files import MOST_BYTES, TOO_LARGE, Skipped
from migrator.scripts.found import Names
from migrator.scripts.stage import RewrittenFiles, look_at
from migrator.store import Store, StoredObject

WORKERS = 16


def show_scripts(uris: Sequence[str], store: Store, names: Names, result: RewrittenFiles, progress: Progress) -> None:
    """Add to ``result`` what would change in each object at or below these URIs. Nothing is written.

    Raises ConfigError for an invalid S3 URI, NotFound for a bucket or a place without an object, Unreachable."""
    for uri in uris:
        at = Location.parse(uri)
        if at is None:
            raise ConfigError(f"{uri!r} is not a place in S3.", next_move="Write it as s3://bucket/prefix/.")
        found = [one for one in store.list(at.bucket, at.key) if _is_below(one.key, at.key) and one.size]
        if not found:
            raise ConfigError(f"There is no object at or below {uri}.", next_move="Check the URI and the endpoint.")
        _show(at, found, store, names, result, progress)


def _is_below(key: str, place: str) -> bool:
    return not place or key == place or key.startswith(place.rstrip("/") + "/")


def _show(
    at: Location,
    found: Sequence[StoredObject],
    store: Store,
    names: Names,
    result: RewrittenFiles,
    progress: Progress,
) -> None:
    small = [one for one in found if one.size <= MOST_BYTES]
    large = [Skipped(f"s3://{at.bucket}/{one.key}", TOO_LARGE, True) for one in found if one.size > MOST_BYTES]
    result.skipped.extend(large)

    def read(one: StoredObject) -> bytes:
        return store.get(at.bucket, one.key).data

    with progress.stage("reading scripts", objects=len(small), unit="scripts") as stage:
        for outcome in run_in_threads(read, small, workers=WORKERS):
            stage.advance(1)
            place = f"s3://{at.bucket}/{outcome.item.key}"
            if not isinstance(outcome, Failed):
                look_at(place, f"{at.bucket}/{outcome.item.key}", outcome.result, names, result)
            elif isinstance(outcome.error, Unreachable) or not isinstance(outcome.error, StoreError):
                raise outcome.error
            else:
                result.skipped.append(Skipped(place, str(outcome.error), True))
