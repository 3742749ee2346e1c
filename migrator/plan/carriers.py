"""Finds files other than Iceberg's that contain absolute paths to objects that move.

Candidates are chosen by name, and then read. The number of bytes that are read is limited: the newest files of each
log, and both ends of a large file.
"""

from __future__ import annotations

import heapq
import io
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from urllib.parse import unquote

from migrator.carriers.kinds import (
    DELTA,
    NARROW,
    PATH,
    SAID,
    SINK,
    SOURCE,
    SYMLINK,
    Carrier,
    Place,
    Unread,
    carrier_of,
    places_in,
    places_in_checkpoint,
)
from migrator.carriers.logs import check_links, check_version
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import SourceChanged, StoreError, Unreachable, Unreadable
from migrator.findings import BLOCK, EXAMPLES, INFO, WARN, Finding, counted, first_of
from migrator.inventory import advice
from migrator.layout import Layout, Rule
from migrator.layout.choice import together
from migrator.layout.recorded import Recorded, is_s3
from migrator.plan.file_marks import mark_logs
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import COPIED
from migrator.planfile.rows import SAME
from migrator.store import Store

_STREAM = "Stop its stream before the cutover, and start it again afterwards with the new paths."
AFTERWARDS = {
    SINK: _STREAM,
    SOURCE: _STREAM,
    SYMLINK: "After the cutover, let the engines that read this list use the one at its new place.",
}
"""Code of a log that is rewritten → what a person does, since migrator stops no stream and changes no engine."""

WORKERS = 16
MOST_FILES = 64
"""How many files of one log are read, the newest first."""
MOST_LOGS = 20_000
"""How many logs are read; the files of further ones are only counted."""
MOST_READS = 20_000
"""The most files that are read for one plan. With many logs, fewer files of each are read."""
MOST_BYTES = 256 << 20
"""How much is read for one plan."""
HEAD, WHOLE, END = 64 << 10, 4 << 20, 256 << 10
"""Bytes: how much of a file is read first; the size up to which all of it is read; how much is read at the end of a
larger file."""


@dataclass(frozen=True, slots=True)
class _File:
    key: str
    size: int
    etag: str
    carrier: Carrier

    def __lt__(self, other: _File) -> bool:
        """Older, so that the newest are kept."""
        return (self.carrier.version, self.key) < (other.carrier.version, other.key)


@dataclass
class _Log:
    """The files of one log: those that are read, the newest first, and how many there are."""

    bucket: str
    carrier: Carrier
    first: list[_File] = field(default_factory=list)
    rest: list[_File] = field(default_factory=list)
    count: int = 0

    def add(self, file: _File) -> None:
        """Count the file, and keep it if it is among the newest."""
        self.count += 1
        files = self.first if file.carrier.first else self.rest
        (heapq.heappush if len(files) < MOST_FILES else heapq.heappushpop)(files, file)

    def to_read(self, most: int) -> list[_File]:
        """At most so many files, in the order in which they are read."""
        newest = max((file.carrier.version for file in self.first), default=0)
        first = [file for file in self.first if file.carrier.version == newest or "_sidecars/" in file.key]
        return [*sorted(first, reverse=True), *sorted(self.rest, reverse=True)][:most]


@dataclass
class _Judgement:
    """The result for the files of a log. ``place``: the first path to something that moves; None if there is none."""

    unit: _Log
    file: _File
    place: Place | None = None
    read: int = 0
    partly: _File | None = None
    trouble: str = ""
    refused: str = ""
    """Why the file cannot be rewritten."""

    @property
    def rewritable(self) -> bool:
        """True if the log names, or may name, what moves, and its files can be rewritten."""
        if self.unit.carrier.code not in REWRITTEN or self.unit.carrier.minor or self.trouble or self.refused:
            return False
        return self.place is not None or self.partly is not None or self.read < self.unit.count


REWRITTEN = (SINK, SOURCE, SYMLINK)
"""The kinds that are rewritten."""

IN_OLD_BUCKETS = (
    f"SELECT bucket, key, size, etag FROM objects WHERE ({COPIED} OR action = '{SAME}') AND role = ''"
    f" AND size > 0 AND ({NARROW})"
)
"""The files in the old buckets that are candidates."""


def plan_carriers(plan: PlanFile, store: Store, layout: Layout, used: Collection[str]) -> None:
    """Plan the logs, checkpoints and manifests that hold, or may hold, paths to what moves: those that can be are
    rewritten; the others get a finding that blocks the plan or warns. ``used``: the folders at the target that streams
    use there."""
    rewritten: list[_Judgement] = []
    for finding in _findings(plan.db.execute(IN_OLD_BUCKETS), store, layout, rewritten):
        plan.add_finding(finding)
    mark_logs(plan, ((verdict.unit.bucket, verdict.unit.carrier) for verdict in rewritten), used)
    for finding in _first_of_each(_rewritten_finding(verdict) for verdict in rewritten):
        plan.add_finding(finding)


def carrier_findings(files: Iterable[tuple[str, str, int, str]], store: Store, layout: Layout) -> Iterator[Finding]:
    """The findings about these files, of which none will be rewritten: (bucket, key, size in bytes, ETag) each."""
    return _findings(files, store, layout, None)


def _findings(
    files: Iterable[tuple[str, str, int, str]], store: Store, layout: Layout, rewritten: list[_Judgement] | None
) -> Iterator[Finding]:
    """The findings about these files. Files that will be rewritten are added to ``rewritten`` and have no finding."""
    units, passed_over = _units(files)
    for code, (place, count) in passed_over.items():
        message = f"{SAID[code]}, one of {count:,} that were not read: there are too many"
        yield Finding.of(code, place, message, "Check them yourself.", count=count, severity=WARN)
    reader = _Reader(store, layout, max(1, min(MOST_FILES, MOST_READS // max(1, len(units)))))
    found: dict[tuple[str, str, str], Finding] = {}
    for outcome in run_in_threads(reader.judge, units, workers=WORKERS):
        if isinstance(outcome, Failed):
            raise outcome.error
        if rewritten is not None and outcome.result.rewritable:
            rewritten.append(outcome.result)
            continue
        finding = _finding(outcome.result, layout)
        if finding is not None:
            carrier = outcome.item.carrier
            key = (carrier.code, outcome.item.bucket, carrier.root)
            found[key] = min(
                found.get(key, finding), finding, key=_worst_first
            )  # a checkpoint may have several sources
    yield from _first_of_each(found.values())


def _first_of_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first findings of each code and severity; the last of them counts those that are left out."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: (finding.code, finding.place)):
        kinds.setdefault((finding.code, finding.severity), []).append(finding)
    for same in kinds.values():
        for one, count in first_of(same, EXAMPLES):
            yield Finding.of(one.code, one.place, one.message, one.next_move, count=count, severity=one.severity)


def _rewritten_finding(verdict: _Judgement) -> Finding:
    unit = verdict.unit
    code = unit.carrier.code
    message = f"{SAID[code]}; the paths in its {counted(unit.count, 'file')} are rewritten"
    return Finding.of(code, f"s3://{unit.bucket}/{verdict.file.key}", message, AFTERWARDS[code], severity=WARN)


def _worst_first(finding: Finding) -> tuple[int, str]:
    return (BLOCK, WARN, INFO).index(finding.severity), finding.place


def _units(files: Iterable[tuple[str, str, int, str]]) -> tuple[list[_Log], dict[str, tuple[str, int]]]:
    """The logs; and for files that belong to none of them, by code, the first file and their number."""
    units: dict[tuple[str, str, str], _Log] = {}
    passed_over: dict[str, tuple[str, int]] = {}
    for bucket, key, size, etag in files:
        carrier = carrier_of(key)
        if carrier is None:
            continue
        which = (bucket, carrier.code, carrier.unit)
        if which in units or len(units) < MOST_LOGS:
            units.setdefault(which, _Log(bucket, carrier)).add(_File(key, size, etag, carrier))
        else:
            place, count = passed_over.get(carrier.code, (f"s3://{bucket}/{key}", 0))
            passed_over[carrier.code] = place, count + 1
    return list(units.values()), passed_over


def _finding(verdict: _Judgement, layout: Layout) -> Finding | None:
    unit = verdict.unit
    code = unit.carrier.code
    what = SAID[code]
    if verdict.place is not None:
        severity = WARN if verdict.file.carrier.minor else BLOCK
        message = f"{what} and holds absolute paths to what moves, such as {verdict.place.uri[:300]}"
        message += f"; it cannot be rewritten: {verdict.refused}" if verdict.refused else ""
    elif verdict.trouble:
        severity = WARN if verdict.file.carrier.minor else BLOCK
        message = f"{what}; whether it holds absolute paths to what moves is not known: {verdict.trouble}"
    elif verdict.partly is not None:
        severity, verdict.file = WARN, verdict.partly
        message = f"{what} and too large to be read; its ends hold no absolute paths to what moves"
    elif verdict.read < unit.count:
        severity = INFO
        message = (
            f"{what}; the newest {verdict.read} of its {unit.count} files hold no absolute paths to what moves, the "
            "others were not read"
        )
    else:
        return None
    place = f"s3://{unit.bucket}/{verdict.file.key}"
    leave = advice.leave_folder(layout, unit.bucket, unit.carrier.root)
    move = f'Copy it as it is: [plan] accept = ["{code}"]. Or leave it where it is: {leave}.'
    return Finding.of(code, place, message, move if severity == BLOCK else "", severity=severity)


def must_not_be_named(layout: Layout, place: Place) -> bool:
    """True for a place in an old bucket, unless a rule leaves it where it is: the copy of a file must not name it."""
    if place.bucket not in layout.buckets:
        return False
    rule = layout.rule_for(place.bucket, place.key)
    return rule is None or rule.target is not None or _later(layout, place) is not None


def _later(layout: Layout, place: Place) -> Rule | Recorded | None:
    """The rule of another plan that moves this place."""
    return layout.later_rule(f"s3://{place.bucket}/{place.key}") if place.bucket else layout.later_rule(place.uri)


class _Reader:
    """Reads as much of each log as is needed and allowed. Safe to share between threads."""

    def __init__(self, store: Store, layout: Layout, most: int) -> None:
        self._store, self._layout, self._most = store, layout, most
        self._lock = threading.Lock()
        self._reads, self._left = MOST_READS, MOST_BYTES

    def judge(self, unit: _Log) -> _Judgement:
        """Read the files of a log until one holds a path to what moves, or cannot be read."""
        files = unit.to_read(self._most)
        verdict = _Judgement(unit, files[0])
        for file in files:
            if not self._take(0):
                break
            verdict.file = file
            try:
                verdict.place = next(self._stale(unit.bucket, file), None)
                verdict.read += 1
                if verdict.place is not None:
                    verdict.refused = self._why_not(unit.bucket, file)
            except Unread:
                verdict.partly = file
                verdict.read += 1
            except Unreachable:
                raise
            except SourceChanged as error:
                if self._store.find(unit.bucket, file.key) is not None:
                    verdict.trouble = error.message
                else:
                    verdict.read += 1  # deleted since it was listed
            except (StoreError, ValueError) as error:
                verdict.trouble = str(error)
            if verdict.place is not None or verdict.trouble:
                break
        if not verdict.read and not verdict.trouble:
            verdict.trouble = "there are too many such files to read them all"
        if verdict.rewritable and verdict.place is None:  # the files that were not read may name what moves
            try:
                verdict.refused = self._why_not(unit.bucket, files[0])
            except Unreachable:
                raise
            except (Unread, StoreError) as error:
                verdict.refused = str(error)
        return verdict

    def _stale(self, bucket: str, file: _File) -> Iterator[Place]:
        """The places in the file that move. Raises Unread if the file is larger than may be read."""
        if file.carrier.code == DELTA and file.key.endswith(".parquet"):
            checkpoint = cast(BinaryIO, _Ranged(self, bucket, file))
            yield from filter(self._moves, places_in_checkpoint(checkpoint, WHOLE))
            return
        sign = file.carrier.sign
        if sign and self.span(bucket, file, 0, min(len(sign), file.size)) != sign:
            return
        head = self.span(bucket, file, 0, min(HEAD, file.size))
        yield from filter(self._moves, places_in(file.carrier, head))
        yield from self._recorded(file.carrier, head)
        if file.size <= HEAD:
            return
        begin = self.span(bucket, file, 0, min(WHOLE, file.size))
        yield from filter(self._moves, places_in(file.carrier, begin))
        if file.size > WHOLE:
            end = self.span(bucket, file, file.size - END, file.size)
            yield from filter(self._moves, places_in(file.carrier, end))
            raise Unread("it is too large")

    def _why_not(self, bucket: str, file: _File) -> str:
        """Why this file, which names what moves, cannot be rewritten; "" if it can, as far as its beginning shows."""
        code, place = file.carrier.code, f"s3://{bucket}/{file.key}"
        if code not in REWRITTEN:
            return ""
        head = self.span(bucket, file, 0, min(HEAD, file.size))
        lost = next((place for place in places_in(file.carrier, head) if self._is_unmapped(place)), None)
        if lost is not None and (rule := _later(self._layout, lost)) is not None:
            return f"another plan moves {lost.uri[:300]}: plan these rules together, with {together([rule.source])}"
        if lost is not None:
            return f"no rule of [layout] covers {lost.uri[:300]}"
        try:
            check_links(head, place) if code == SYMLINK else check_version(head.partition(b"\n")[0], place)
        except Unreadable as error:
            return error.reason
        return ""

    def _recorded(self, carrier: Carrier, data: bytes) -> Iterator[Place]:
        """The paths outside of S3 in the log of a stream that the layout maps, for example those of HDFS."""
        if carrier.code not in (SOURCE, SINK) or not self._layout.recorded:
            return
        for found in PATH.finditer(data):
            uri = unquote(found[1].decode("utf-8", "replace"))
            if not is_s3(uri) and self._layout.whole.map_uri(uri) is not None:
                yield Place(uri, "", "")

    def _moves(self, place: Place) -> bool:
        return must_not_be_named(self._layout, place)

    def _is_unmapped(self, place: Place) -> bool:
        if _later(self._layout, place) is not None:
            return True
        if place.bucket not in self._layout.buckets:
            return False
        # Hadoop knows no S3A://, and the layout maps none.
        return self._layout.rule_for(place.bucket, place.key) is None or not is_s3(place.uri)

    def span(self, bucket: str, file: _File, start: int, end: int) -> bytes:
        """The bytes [start, end) of the file. Raises Unread when enough was read for this plan."""
        if not self._take(end - start):
            raise Unread("enough was read")
        return self._store.read_part(bucket, file.key, file.etag, (start, end - 1))

    def _take(self, size: int) -> bool:
        with self._lock:
            if size == 0:
                self._reads -= 1
            self._left -= size
            return self._reads >= 0 and self._left >= 0


class _Ranged(io.RawIOBase):
    """A file whose bytes are fetched as they are read."""

    def __init__(self, reader: _Reader, bucket: str, file: _File) -> None:
        self._reader, self._bucket, self._file = reader, bucket, file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._file.size)
        if end <= self._at:
            return 0
        data = self._reader.span(self._bucket, self._file, self._at, end)
        buffer[: len(data)] = data
        self._at = end
        return len(data)
