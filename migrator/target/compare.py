"""How the target differs from what was planned: objects that appeared, changed or vanished there and were not written
by migrator.

Between planning and writing time passes, and somebody may use the target meanwhile. So the target is listed again,
and the listing is compared with the plan and its journal by SQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from migrator.errors import first_lines
from migrator.inventory.listing import TARGET, Listing
from migrator.planfile.copied import ETAG, Copied
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.planfile.queries import WRITTEN_OR_SAME, below, same_etag
from migrator.planfile.rows import MIGRATED, ROLE_VERSION_HINT, SAME
from migrator.progress import Progress
from migrator.store import Store
from migrator.target.ledger import Ledger, own

EXAMPLES = 10
PAGE = 200_000
"""How many objects are looked up in the ledger at once."""

# Objects whose state at the target must be checked. The files of a table that lives at the target are left out: the
# table is in use there.
_SUSPECTS = f"""
SELECT o.id, o.table_id, o.target, o.action, o.role, o.size, o.etag, o.target_etag, t.size, t.etag, d.etag,
  EXISTS (SELECT 1 FROM versions v WHERE v.target = o.target)
FROM objects o LEFT JOIN {TARGET} t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
LEFT JOIN tables b ON b.id = o.table_id
WHERE o.{WRITTEN_OR_SAME} AND coalesce(b.state, '') <> '{MIGRATED}' AND (
  t.key IS NULL AND (d.object_id IS NOT NULL OR o.action = '{SAME}')
  OR d.object_id IS NOT NULL AND (NOT {same_etag("t.etag", "d.etag")} OR t.size <> d.size)
  OR t.key IS NOT NULL AND d.object_id IS NULL AND (o.action <> '{SAME}' OR t.etag IS NOT o.target_etag))
  AND o.id > ? ORDER BY o.id LIMIT ?
"""
# Metadata files in the folders where tables go, which are neither planned nor were there while planning: a reader of a
# Hadoop table would follow them, and in any other catalog somebody has committed there.
_COMMITS = f"""
SELECT b.id, t.key, coalesce(b.catalog || '.' || b.namespace || '.' || b.name, b.old_location, b.old_metadata)
FROM tables b JOIN target_folders f ON f.table_id = b.id
JOIN {TARGET} t ON {below("t.key", "f.folder")}
WHERE b.state <> '{MIGRATED}' AND t.key GLOB '*.metadata.json*'
  AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.target = t.key)
  AND NOT EXISTS (SELECT 1 FROM target_metadata m WHERE m.key = t.key AND m.etag = t.etag)
"""


@dataclass
class Changes:
    """How many objects at the target are not as planned, and the first of them, each with what happened to it."""

    changed: int = 0
    examples: list[str] = field(default_factory=list)
    vanished: int = 0
    """Copies of this plan that are no longer there; they are copied again."""
    vanished_example: str = ""

    def add(self, what: str) -> None:
        """Count a change, and keep ``what`` if it is among the first."""
        self.changed += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(what)

    def __str__(self) -> str:
        return f"\n{first_lines(self.examples, EXAMPLES, count=self.changed)}" if self.changed else ""


@dataclass(frozen=True, slots=True)
class _Suspect:
    id: int
    table: int | None
    target: str
    action: str
    role: str
    size: int
    etag: str
    planned: str | None
    """The ETag at the target while planning."""
    there_size: int | None
    there: str | None
    done: str | None
    has_history: int


def list_target(plan: PlanFile, store: Store, progress: Progress) -> None:
    """List the target of the plan as it is now (:class:`migrator.inventory.listing.Listing`). A bucket that does not
    exist has no objects."""
    listing = Listing(plan.db)
    listing.clear()
    if store.bucket_exists(plan.layout.target_bucket):
        listing.list_target(store, plan.layout.target_bucket, progress)


def holds_only_copies(plan: PlanFile) -> bool:
    """True if this plan has written every object in the listing of the target. Then no object of somebody else can hide
    another one: MinIO does not list ``k/sub`` if there is an object ``k``."""
    query = f"""
    SELECT 1 FROM {TARGET} t WHERE NOT EXISTS (
      SELECT 1 FROM objects o JOIN done d ON d.object_id = o.id WHERE o.target = t.key) LIMIT 1
    """
    return plan.db.execute(query).fetchone() is None


def find_changes(
    plan: PlanFile, journal: Journal, ledger: Ledger, *, resumed: bool, recognize: bool, live: frozenset[int]
) -> Changes:
    """Compare the listing of the target with the plan and its journal. The target must be listed.

    Copies that vanished are removed from the journal, so that they are made again. Objects that migrator wrote, as the
    ledger proves, are noted in the journal: they may be replaced. ``resumed``: an earlier run of this plan may have
    written objects without journalling them before it was killed; such objects are compared by their bytes when they
    are written. ``recognize``: an equal ETag is proof enough. ``live``: the ids of the tables that are cut over.
    """
    changes = Changes()
    journal.start_replaceable()
    for page in _suspects(plan, live):
        known = ledger.known({own(s.target, s.there) for s in page if s.there is not None and s.done is None})
        found = _Found(changes, known, resumed, recognize)
        for suspect in page:
            found.judge(suspect, f"s3://{plan.layout.target_bucket}/{suspect.target}")
        journal.copied(found.copied)
        journal.forget(found.vanished)
        journal.may_replace(found.replaceable)
    for table, key, name in plan.db.execute(_COMMITS).fetchall():
        if table not in live:
            place = f"s3://{plan.layout.target_bucket}/{key}"
            changes.add(f"+ {place}: metadata of {name}, written there since planning")
    journal.commit()
    return changes


def _suspects(plan: PlanFile, live: frozenset[int]) -> Iterator[list[_Suspect]]:
    """The objects whose state at the target must be checked, in pages."""
    last = -1
    while rows := plan.db.execute(_SUSPECTS, (last, PAGE)).fetchall():
        last = rows[-1][0]
        yield [suspect for suspect in (_Suspect(*row) for row in rows) if suspect.table not in live]


class _Found:
    """The decisions about one page of suspects."""

    def __init__(self, changes: Changes, known: set[int], resumed: bool, recognize: bool) -> None:
        self._changes, self._known, self._resumed, self._recognize = changes, known, resumed, recognize
        self.copied: list[Copied] = []
        """Copies that a killed run made without journalling them."""
        self.vanished: list[int] = []
        self.replaceable: list[tuple[int, str]] = []

    def judge(self, suspect: _Suspect, place: str) -> None:
        """Decide about one object; ``place`` is its URI at the target."""
        if suspect.there is None:
            if suspect.done is None:
                self._changes.add(f"- {place}: vanished since planning")
            else:
                self._changes.vanished += 1
                self._changes.vanished_example = self._changes.vanished_example or place
                self.vanished.append(suspect.id)
        elif suspect.done is not None:
            self._changes.add(f"* {place}: changed since migrator wrote it")
        elif _is_equal(suspect):
            if self._recognize and suspect.role != ROLE_VERSION_HINT:  # only the cutover writes version hints
                self.copied.append(Copied(suspect.id, suspect.size, suspect.etag, ETAG))
            else:
                self.replaceable.append((suspect.id, suspect.there))
        elif suspect.action != "same" and own(suspect.target, suspect.there) in self._known:
            self.replaceable.append((suspect.id, suspect.there))
        elif suspect.there == suspect.planned:
            if suspect.action == "overwrite" or suspect.has_history:
                self.replaceable.append((suspect.id, suspect.there))
        elif not (self._resumed and _may_be_ours(suspect)):
            what = "appeared" if suspect.planned is None else "changed"
            self._changes.add(f"{'+' if suspect.planned is None else '*'} {place}: {what} since planning")


def _is_equal(suspect: _Suspect) -> bool:
    """True for a plain copy that has its source's ETag and size. Not where older versions are below it: an older
    version may have the same bytes."""
    plain = suspect.role in ("", ROLE_VERSION_HINT) and suspect.action != "same" and not suspect.has_history
    return plain and (suspect.there, suspect.there_size) == (suspect.etag, suspect.size)


def _may_be_ours(suspect: _Suspect) -> bool:
    if suspect.action == "same" or suspect.role == ROLE_VERSION_HINT:
        return False
    if suspect.target.endswith("/") and suspect.there_size == 0:  # some servers drop the bytes of such a key
        return True
    return suspect.role != "" or bool(suspect.has_history) or suspect.there_size == suspect.size
