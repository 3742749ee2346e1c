"""The check of a lake: list it, compare its folders with the structure, and read what may name an old bucket.

Nothing is written. The check only fails if a server does not answer or refuses to list the target; anything else that
cannot be read becomes a finding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from migrator.catalogs import Catalog
from migrator.checking.old_names import Script, in_carriers, read_scripts
from migrator.checking.results import EMPTY, EXISTS, GONE, UNKNOWN, LakeCheck
from migrator.checking.seen import Seen
from migrator.checking.structure import MISSING, OLD, PRESENT, SCRIPTS, Structure
from migrator.checking.tables import TableCheck, not_checked, old_warehouses
from migrator.checking.watch import Watch
from migrator.concurrency.threads import Failed
from migrator.config import Settings
from migrator.errors import NotFound, StoreError, Unreachable
from migrator.findings import INFO, WARN, Finding, counted
from migrator.layout import Layout
from migrator.plan.checkpoints import trouble_now
from migrator.progress import OBJECTS, Progress
from migrator.scripts import Names
from migrator.scripts.found import shown
from migrator.scripts.packed import names_old_path
from migrator.scripts.stage import rewrite_bytes
from migrator.store import Store

STEP = 10_000
"""After how many objects progress is reported."""
ORDER = (WARN, INFO)


@dataclass(frozen=True)
class Checking:
    """A lake, and how to reach it. ``wanted``: new layers that the user wants to add. ``watch`` gets everything that is
    read."""

    settings: Settings
    layout: Layout
    store: Store
    catalogs: Mapping[str, Catalog]
    progress: Progress
    wanted: Sequence[str] = ()
    watch: Watch = field(default_factory=Watch)


def check(asked: Checking) -> LakeCheck:
    """Check the lake. Raises NotFound if neither the target nor an old bucket exists, StoreError if the target cannot
    be listed, ConfigError for an invalid name in [rewrite-config]."""
    settings, layout, store = asked.settings, asked.layout, asked.store
    names = settings.script_names(layout)
    structure = Structure(layout, settings.check_layers, asked.wanted)
    target_exists = store.bucket_exists(layout.target_bucket)
    old, refused = _old_buckets(store, layout, must_answer=not target_exists or store.ends[0] is store.ends[1])
    if not target_exists and set(old.values()) <= {GONE}:
        raise NotFound(
            f"Neither the target {layout.target_bucket!r} nor any old bucket exists at {store.endpoint_url}.",
            next_move="Check the endpoint, --target and [layout].",
        )
    script_folders = [folder.name for folder in structure.folders if folder.kind == SCRIPTS]
    with closing(Seen(layout, script_folders)) as seen:
        _list(asked, seen, structure, old, target_exists=target_exists)
        asked.watch.listed(seen, structure)
        tables = TableCheck(store, layout, structure, seen, settings.leave, asked.watch)
        result = LakeCheck(
            layout.target_bucket, target_exists, structure.folders, list(structure.others), old, list(asked.catalogs)
        )
        found = [*_buckets(layout, old, structure, target_exists=target_exists), *structure.findings()]
        found += _unlisted(layout, refused, structure)
        found += tables.catalogs(asked.catalogs, asked.progress)
        found += old_warehouses(layout, settings.catalogs)
        found += tables.tables(asked.progress)
        asked.watch.tables_read(seen, structure)
        found += _carriers(asked, seen)
        scripts, unread = seen.scripts()
        found += _scripts(asked, names, scripts, unread)
    result.tables_read, result.scripts_read = tables.read, len(scripts)
    result.findings = sorted(accepted(found, settings.check_accept), key=lambda one: ORDER.index(one.severity))
    return result


def accepted(found: Iterable[Finding], codes: Collection[str]) -> Iterator[Finding]:
    """The findings. Those with one of these codes become information."""
    for finding in found:
        yield replace(finding, severity=INFO) if finding.code in codes else finding


# -- listing -----------------------------------------------------------------------------------------------


def _old_buckets(store: Store, layout: Layout, *, must_answer: bool) -> tuple[dict[str, str], dict[str, StoreError]]:
    """(old bucket → its state, old bucket → why its server does not list it). ``must_answer``: raise Unreachable if
    their server does not answer. If the target is on another server, the old server may have been removed."""
    states: dict[str, str] = {}
    refused: dict[str, StoreError] = {}
    for bucket in layout.moved_buckets:
        try:
            states[bucket] = _state_of(store, bucket)
        except Unreachable:
            if must_answer:
                raise
            return dict.fromkeys(layout.moved_buckets, UNKNOWN), {}  # waiting for each would take long
        except StoreError as error:
            states[bucket], refused[bucket] = UNKNOWN, error
    return states, refused


def _state_of(store: Store, bucket: str) -> str:
    if not store.bucket_exists(bucket):
        return GONE
    return EXISTS if next(store.list(bucket), None) is not None else EMPTY


def _list(asked: Checking, seen: Seen, structure: Structure, old: Mapping[str, str], *, target_exists: bool) -> None:
    """List the target, and those old buckets whose folders at the target are still empty."""
    if target_exists:
        seen.list_target(asked.store, asked.progress)
    _compare(asked, structure, seen.at_target(), PRESENT)
    missing = {folder.name for folder in structure.folders if folder.state == MISSING}
    rules = tuple(
        rule
        for rule in asked.layout.rules
        if rule.target and old.get(rule.bucket) == EXISTS and _folder(structure, rule.target) in missing
    )
    if rules:
        seen.list_old(asked.store, replace(asked.layout, rules=rules), asked.progress)
        _compare(asked, structure, seen.in_old_buckets(), OLD)
    structure.finish()
    for folder in structure.folders:
        if folder.state == PRESENT:
            for stream in folder.streams:  # a stream may have written meanwhile
                key = folder.key_of(stream)
                stream.trouble = trouble_now(asked.store, asked.layout.target_bucket, key, stream.trouble)


def _compare(asked: Checking, structure: Structure, objects: Iterable[tuple[str, int]], state: str) -> None:
    """Count these objects, (key in the target, size) each, in their folders."""
    with asked.progress.stage("comparing the folders", unit=OBJECTS) as stage:
        number = 0
        for number, (key, size) in enumerate(objects, 1):
            structure.add(key, size, state=state)
            if number % STEP == 0:
                stage.advance(STEP)
        stage.advance(number % STEP)


def _folder(structure: Structure, target: str) -> str:
    folder = structure.folder_of(target)
    return folder.name if folder else ""


def _buckets(layout: Layout, old: Mapping[str, str], structure: Structure, *, target_exists: bool) -> Iterator[Finding]:
    """The findings about the buckets themselves."""
    if not target_exists:
        place = f"s3://{layout.target_bucket}/"
        move = '"migrator migrate" creates it, or create it yourself.'
        yield Finding.of("target-bucket-missing", place, "does not exist", move, severity=WARN)
    waiting = {folder.name for folder in structure.folders if folder.state == OLD}
    for bucket, state in old.items():
        targets = {_folder(structure, rule.target) for rule in layout.rules if rule.bucket == bucket and rule.target}
        if state == UNKNOWN:
            yield Finding.of("old-bucket", f"s3://{bucket}/", "cannot be listed, or its server does not answer")
        elif state != GONE and not targets & waiting:
            move = '"migrator retire" deletes what is proven to be in the target.'
            yield Finding.of("old-bucket", f"s3://{bucket}/", f"still exists ({state})", move)


def _unlisted(layout: Layout, refused: Mapping[str, StoreError], structure: Structure) -> Iterator[Finding]:
    """The old buckets that may hold what an empty folder of the target lacks, and that their server does not list."""
    missing = {folder.name for folder in structure.folders if folder.state == MISSING}
    for bucket, error in refused.items():
        if missing & {
            _folder(structure, rule.target) for rule in layout.rules if rule.bucket == bucket and rule.target
        }:
            yield not_checked(f"s3://{bucket}/", error)


# -- logs, checkpoints and scripts ---------------------------------------------------------------------------


def _carriers(asked: Checking, seen: Seen) -> Iterator[Finding]:
    """Logs, checkpoints and manifests that hold absolute paths to what moves."""
    with asked.progress.stage("reading logs", unit="files") as stage:

        def rows() -> Iterator[tuple[str, str, int, str]]:
            for row in seen.carriers():
                stage.advance(1, row[2])
                yield row

        for mention in in_carriers(rows(), asked.store, asked.layout):
            move = 'In an old bucket: "migrator migrate" rewrites it. At the target: let its program write it again.'
            yield Finding.of("old-path-in-log", mention.place, f"{mention.message} ({mention.code})", move)


def _scripts(asked: Checking, names: Names, scripts: list[tuple[str, str]], unread: int) -> Iterator[Finding]:
    """Scripts that name an old place. ``unread``: how many others are too large or too many."""
    old_bucket = re.compile(rf"(?<![A-Za-z0-9._-]){names.old_bucket}")

    def look(script: Script, data: bytes) -> list[tuple[str, bool]]:
        """(text about a place in the script, whether it certainly names an old place)"""
        done = rewrite_bytes(script[1], data, names)
        if done is None:
            old = names_old_path(script[1], data, names)
            return [("is packed, or no text, and may name an old path", False)] if old else []
        certain = [(f"line {change.line} names {shown(change.old)}", True) for change in done.changes]
        doubts = [(f"line {d.line}: {d.reason}: {d.text}", bool(old_bucket.search(d.text))) for d in done.doubts]
        return certain + doubts

    with asked.progress.stage("reading scripts", objects=len(scripts), unit="scripts") as stage:
        outcomes = []
        for outcome in read_scripts(asked.store, scripts, look):
            if isinstance(outcome, Failed) and isinstance(outcome.error, Unreachable):
                raise outcome.error
            outcomes.append(outcome)
            stage.advance(1)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.item):
        place = f"s3://{outcome.item[0]}/{outcome.item[1]}"
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, NotFound):  # otherwise it was removed since it was listed
                yield not_checked(place, outcome.error)
        else:
            yield from _of_script(place, outcome.result, asked.settings.rewrite_config(place))
    if unread:
        message = f"{counted(unread, 'script')} not read: larger than 1 MiB, or too many"
        yield Finding.of("not-checked", f"s3://{asked.layout.target_bucket}/", message, count=unread, severity=INFO)


def _of_script(place: str, said: list[tuple[str, bool]], command: str) -> Iterator[Finding]:
    for code, certain in (("old-path-in-script", True), ("doubtful-script", False)):
        lines = [line for line, is_certain in said if is_certain == certain]
        if lines:
            more = f" and {counted(len(lines) - 1, 'more place')}" if len(lines) > 1 else ""
            move = f'"{command}" shows the new text. Rewrite your own copy, and upload that.'
            yield Finding.of(code, place, f"{lines[0]}{more}", move, count=len(lines))
