"""Examines what the target has in the place of one table's metadata.

That can be nothing, an earlier copy of the metadata, later metadata of the same table, or another table. A table is
never set back to an older state. Metadata at the target that has the table's uuid and is not a copy of a file in the
old place was written there after an earlier cutover. Then the old pointer is outdated, or the table has two histories.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.catalogs.hadoop import VERSION_HINT_FILE, current_version
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound, Unreadable
from migrator.findings import WARN, Finding
from migrator.iceberg.metadata import TableMetadata, is_metadata_file, metadata_version, read_metadata
from migrator.iceberg.views import ViewMetadata, is_view_metadata, read_view
from migrator.inventory import advice
from migrator.inventory.listing import TARGET, is_at_target
from migrator.inventory.problems import Problems
from migrator.inventory.table_files import READERS
from migrator.inventory.tables import FoundTable
from migrator.layout import Layout, Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under
from migrator.store import Store
from migrator.target import GivenUp

MAX_READ = 200
"""How many metadata files of one folder at the target are read, the newest first."""

# Metadata files directly in the folder that are not the target of an old object.
_NOT_COPIED = f"""
SELECT key FROM {TARGET} WHERE key >= :low AND key < :high AND key LIKE '%.metadata.json%'
AND instr(substr(key, :start), '/') = 0 AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.target = {TARGET}.key)
"""


@dataclass(frozen=True)
class TargetMetadata:
    """A readable metadata file at the target."""

    uri: str
    metadata: TableMetadata | ViewMetadata

    @property
    def uuid(self) -> str | None:
        """The uuid of the table or view; None if the file has none."""
        return self.metadata.table_uuid if isinstance(self.metadata, TableMetadata) else self.metadata.view_uuid

    @property
    def version(self) -> int:
        """The version number in the file's name; 0 if there is none."""
        return metadata_version(self.uri.rpartition("/")[2]) or 0

    @property
    def age(self) -> tuple[int, int]:
        """The later of two files has the larger one: (version, milliseconds of the last update)."""
        updated = self.metadata.last_updated_ms if isinstance(self.metadata, TableMetadata) else 0
        return self.version, updated


class TargetSide:
    """The places in the target bucket where one table's files go. Conflicts there are reported as problems of the
    table."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        layout: Layout,
        found: FoundTable,
        problems: Problems,
        rules: advice.Rules,
        given_up: GivenUp,
    ) -> None:
        self._plan = plan
        self._store = store
        self._layout = layout
        self._found = found
        self._problems = problems
        self._rules = rules
        self._given_up = given_up

    # -- Hadoop tables -------------------------------------------------------------------------------

    def living(self, metadata: TableMetadata, new_metadata: str) -> TargetMetadata | None:
        """For a Hadoop table: the target's current metadata, if a version hint there shows that it was cut over.

        If that is not this table's current or a later state, it is a problem: a Hadoop reader would read it as the
        table.
        """
        if self._found.hint is None:
            return None
        folder, names = self._folder()
        if VERSION_HINT_FILE not in names:
            return None
        bucket = self._layout.target_bucket
        hint = self._store.get(bucket, f"{folder}/{VERSION_HINT_FILE}").data
        name = current_version(names, hint)
        there = self._readable(self._read(f"{folder}/{name}")) if name else None
        if there is None or self._was_rolled_back(there):
            return None
        label, ours = self._problems.label, metadata_version(self._found.metadata.rpartition("/")[2]) or 0
        if there.uuid != metadata.table_uuid or not isinstance(there.metadata, TableMetadata):
            message = f"another table lies where {label} would go"
            self._problems.add("target-not-empty", there.uri, message, self._elsewhere(metadata.location))
        elif there.version < ours:
            message = f"{label} was migrated at version {there.version}, but {self._found.metadata} is at {ours} now"
            move = (
                f"Find out which of the two is right, and stop its other writer. {self._elsewhere(metadata.location)}"
            )
            self._problems.add("target-behind", there.uri, message, move)
        elif not self._descends(there.metadata, metadata, new_metadata):
            self._add_ahead(there, metadata.location, "and both have changed since then")
        else:
            return there
        return None

    def is_free(self, location: str) -> bool:
        """False, with a problem, if the target's folder holds a later version: a Hadoop reader would follow it."""
        if any(code in self._problems for code in ("target-not-empty", "target-behind", "target-ahead")):
            return False
        if self._found.hint is None:
            return True
        folder, names = self._folder()
        ours = metadata_version(self._found.metadata.rpartition("/")[2]) or 0
        later = [n for n in names if is_metadata_file(n) and (metadata_version(n) or 0) > ours]
        later = [n for n in later if not self._is_copy(f"{folder}/{n}")]
        if later:
            place = f"s3://{self._layout.target_bucket}/{folder}/{later[0]}"
            message = f"is newer than {self._problems.label} itself, and readers would follow it"
            move = f"Move it away. {self._elsewhere(location)}"
            self._problems.add("target-not-empty", place, message, move)
        return not later

    def _folder(self) -> tuple[str, list[str]]:
        """The folder of the new metadata in the target bucket, and the file names that are there now."""
        assert self._found.hint is not None
        bucket, folder = self._found.hint
        new = folder if bucket == self._layout.target_bucket else self._layout.map_key(bucket, folder) or ""
        query = f"SELECT key FROM {TARGET} WHERE key >= ? AND key < ?"
        keys = self._plan.db.execute(query, keys_under(new)).fetchall()
        return new, [key[len(new) + 1 :] for (key,) in keys]

    def _is_copy(self, key: str) -> bool:
        return self._plan.db.execute("SELECT 1 FROM objects WHERE target = ?", (key,)).fetchone() is not None

    def _descends(self, there: TableMetadata, ours: TableMetadata, new_metadata: str) -> bool:
        """True if the target's table is the current state of the table in the old place, or a later one."""
        at = Location.parse(new_metadata)
        copy = self._readable(self._read(at.key)) if at is not None and is_at_target(self._plan, at.key) else None
        if copy is not None and isinstance(copy.metadata, TableMetadata):
            return _state(copy.metadata) == _state(ours)
        known = {snapshot.snapshot_id for snapshot in there.snapshots}
        return new_metadata in there.metadata_log or ours.current_snapshot_id in known

    # -- all tables ----------------------------------------------------------------------------------

    def ahead(self, current: TableMetadata | ViewMetadata, new_metadata: str) -> TargetMetadata | None:
        """The target's newest metadata file, if this table was written to there. Adds a problem if a catalog names the
        table: a cutover would set it back."""
        ours = TargetMetadata(self._found.metadata, current)
        newest: TargetMetadata | None = None
        foreign: TargetMetadata | None = None
        for there in self._not_copied(new_metadata):
            if self._was_rolled_back(there):
                continue
            if there.uuid != ours.uuid or there.uuid is None:
                foreign = max(filter(None, (foreign, there)), key=lambda t: t.age)
            elif not _is_past(there, ours):
                newest = max(filter(None, (newest, there)), key=lambda t: t.age)
        if foreign is not None:
            message = (
                f"is another table's, which no given catalog names; {self._problems.label} goes to the same folder"
            )
            self._plan.add_finding(Finding.of("tables-overlap", foreign.uri, message, severity=WARN))
        if newest is not None and self._problems.named:
            self._add_ahead(newest, current.location, "and was written to there")
        return newest

    def _not_copied(self, new_metadata: str) -> list[TargetMetadata]:
        """The readable metadata files in the table's folder at the target that are not copies."""
        at = Location.parse(new_metadata)
        assert at is not None
        folder, slash, _ = at.key.rpartition("/")
        low, high = keys_under(folder)
        values = {"low": low, "high": high, "start": len(folder + slash) + 1}
        keys = [key for (key,) in self._plan.db.execute(_NOT_COPIED, values)]
        keys = [key for key in keys if is_metadata_file(key.rpartition("/")[2])]
        keys.sort(key=lambda key: metadata_version(key.rpartition("/")[2]) or 0, reverse=True)
        found = []
        for outcome in run_in_threads(self._read, keys[:MAX_READ], workers=READERS):
            if isinstance(outcome, Failed):
                raise outcome.error
            there = self._readable(outcome.result)
            found += [there] if there is not None else []
        return found

    def _readable(self, read: TargetMetadata | Unreadable | None) -> TargetMetadata | None:
        """What was read; None, with a warning, if it cannot be read."""
        if not isinstance(read, Unreadable):
            return read
        message = f"lies where {self._problems.label} goes, and cannot be read: {read.reason}"
        self._problems.note("target-unreadable", read.place, message, "Check it, and remove it if nobody needs it.")
        return None

    def _read(self, key: str) -> TargetMetadata | Unreadable | None:
        """A metadata file of the target bucket; None if it does not exist any more. Safe between threads."""
        bucket = self._layout.target_bucket
        now = Location.parse(self._found.metadata)
        uri = Location(now.scheme if now is not None else "s3", bucket, key).uri
        try:
            data = self._store.get(bucket, key).data
        except NotFound:
            return None
        try:
            view = is_view_metadata(data, uri)
            return TargetMetadata(uri, read_view(data, uri) if view else read_metadata(data, uri))
        except Unreadable as error:
            return error

    def _was_rolled_back(self, there: TargetMetadata) -> bool:
        """True if a rollback gave this state of the table up: the old place is in use again."""
        at = Location.parse(there.uri)
        return at is not None and at.key in self._given_up.tables | self._given_up.commits

    def _add_ahead(self, there: TargetMetadata, location: str, how: str) -> None:
        message = (
            f"{self._problems.label} lives at the target, {how}: {there.uri} is not what the old place has, "
            f"and its pointer is {self._found.metadata}"
        )
        move = f"{self._adopt(there.uri)} {self._elsewhere(location)}"
        self._problems.add("target-ahead", there.uri, message, move)

    def _adopt(self, uri: str) -> str:
        """The next move that keeps what was written at the target."""
        found = self._found
        how = f"register {uri}."
        if found.catalog is not None:
            how = found.catalog.how_to_adopt(found.namespace, found.name, uri)
        return f"To keep what was written at the target, {how}"

    def _elsewhere(self, location: str) -> str:
        """The next move that gives the old table another place, or leaves it out."""
        proposed = self._rules.elsewhere(location)
        if proposed is None:
            return advice.leave(self._found, self._layout)
        return f"Or move the old one to another place, with this rule in [layout]: {proposed[0]}"


def _is_past(there: TargetMetadata, ours: TargetMetadata) -> bool:
    """True if this file can be an earlier state of the table in the old place, whose own copy of the file was deleted
    since."""
    if there.version > ours.version:
        return False
    if not (isinstance(there.metadata, TableMetadata) and isinstance(ours.metadata, TableMetadata)):
        return True
    if there.metadata.last_updated_ms > ours.metadata.last_updated_ms:
        return False
    known = {snapshot.snapshot_id for snapshot in ours.metadata.snapshots}
    oldest = min((snapshot.timestamp_ms for snapshot in ours.metadata.snapshots), default=0)
    return all(s.snapshot_id in known or s.timestamp_ms < oldest for s in there.metadata.snapshots)


def _state(metadata: TableMetadata) -> tuple[object, ...]:
    snapshots = tuple(snapshot.snapshot_id for snapshot in metadata.snapshots)
    return metadata.table_uuid, metadata.last_updated_ms, metadata.current_snapshot_id, snapshots
