"""Checks the files that one table names, after its walk: whether they exist, are named with one scheme, and all
move."""

from __future__ import annotations

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.inventory.problems import EXAMPLES, Problems
from migrator.inventory.references import References
from migrator.layout.recorded import S3_SCHEMES
from migrator.store import Store


def check_existing(refs: References, problems: Problems) -> None:
    """Report the live files that do not exist, or have another size than the metadata records."""
    for uri, place, count in refs.missing(EXAMPLES):
        message = f"refers to {uri}, which does not exist" + (f" ({count} such in all)" if count > 1 else "")
        problems.add("missing-object", place, message, "Restore it, or repair the table first.")
    for uri, place, count in refs.resized(EXAMPLES):
        _report_size(problems, place, uri, count)


def _report_size(problems: Problems, place: str, uri: str, count: int = 1) -> None:
    message = f"records another size than {uri} has" + (f" ({count} such in all)" if count > 1 else "")
    move = 'Find out what overwrote it. Or accept it: [plan] accept = ["size-differs"].'
    problems.add("size-differs", place, message, move)


def check_schemes(refs: References, problems: Problems) -> None:
    """Report the data files that are named with two schemes."""
    for uri, place, one, other, count in refs.mixed(EXAMPLES):
        one, other = (f"{name}://" if name in S3_SCHEMES else name for name in (one, other))
        message = f"names {uri} as {one} and as {other}" + (f" ({count} such in all)" if count > 1 else "")
        move = (
            "Rewrite the table's data or deletes first; or accept it, and both schemes are kept as they are: "
            '[plan] accept = ["mixed-schemes"].'
        )
        problems.add("mixed-schemes", place, message, move)


def check_staying(refs: References, store: Store, problems: Problems) -> None:
    """Report a table with data files that move and data files that a rule leaves. Each data file that stays gets a HEAD
    request, because its bucket may not be listed: it must exist, with the recorded size. Raises StoreError."""
    staying = refs.staying()
    if not staying:
        return

    def size_of(row: tuple[str, str, int, str]) -> int | None:
        found = store.find(row[0], row[1])
        return found.size if found is not None else None

    for outcome in run_in_threads(size_of, staying, workers=store.concurrency):
        if isinstance(outcome, Failed):
            raise outcome.error
        bucket, key, size, place = outcome.item
        uri = f"s3://{bucket}/{key}"
        if outcome.result is None:
            message = f"refers to {uri}, which does not exist"
            problems.add("missing-object", place, message, "Restore it, or repair the table first.")
        elif outcome.result != size:
            _report_size(problems, place, uri)
    places = (f"s3://{bucket}/{key}" for bucket, key, _, _ in staying)
    problems.spans(refs.by_bucket(staying=False), refs.by_bucket(staying=True), places)
