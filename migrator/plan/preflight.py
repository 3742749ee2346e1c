"""The preflight: tests, while planning, the requests that could fail while migrating. It takes a few small requests.

It reads one object of each folder of each rule, and its tags. Below ``.migrator/`` in the target it writes empty
objects with tags, in each storage class of the lake and with each kind of odd key, and an upload in parts; it removes
them all again. In each SQL catalog it changes a pointer in a transaction that is rolled back. A target that does not
exist is not created: its server gets the same requests, and its errors show what it would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from migrator.catalogs import Catalog
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import AccessDenied, CannotRepoint, CatalogError, NotFound, PlanBusy, StoreError
from migrator.findings import ACCEPTABLE, EXAMPLES, Finding
from migrator.layout import Layout
from migrator.plan.odd_keys import odd_keys
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import TO_WRITE, VERSIONS_TO_COPY, below, keys_under
from migrator.planfile.repoints import repoints_of
from migrator.planfile.rows import COPY
from migrator.progress import Progress
from migrator.store import Store
from migrator.store.look import ARCHIVES, S3_CLASSES
from migrator.store.rights import Rights, refused

FOLDERS = 10
"""How many folders of a rule a sample is read from."""
WORKERS = 16

TAGS, CLASSES = "tags-unreadable", "storage-class-refused"

_AWAKE = f"storage_class NOT IN {ARCHIVES}"
_CLASSES_IN_USE = (
    "SELECT storage_class, min(place), count(*) FROM ("
    f"SELECT storage_class, 's3://' || bucket || '/' || key AS place FROM objects WHERE {TO_WRITE} UNION ALL"
    f" SELECT storage_class, 's3://' || bucket || '/' || key FROM versions WHERE {VERSIONS_TO_COPY})"
    " WHERE storage_class <> 'STANDARD' GROUP BY storage_class"
)
_KEY_BELOW_KEY = (
    f"SELECT bucket, key FROM objects o WHERE {TO_WRITE} AND target NOT LIKE '%/' AND EXISTS (SELECT 1 FROM objects x"
    f" WHERE {below('x.target', 'o.target')} AND x.{TO_WRITE})"
)
_SKIP = "--no-preflight"


@dataclass(frozen=True)
class Sample:
    """An object to be read, and the rule that it stands for; ``version_id`` for an older version."""

    bucket: str
    key: str
    size: int
    rule: str
    version_id: str | None = None


@dataclass
class Missing:
    """S3 actions that are not allowed: (action, resource) → what the server said, and where."""

    rights: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, action: str, resource: str, place: str, error: StoreError) -> None:
        """Note that the action is not allowed on the resource. Only the first answer of its kind is kept."""
        self.rights.setdefault((action, resource), (place, error.message))


def preflight(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    accept: Iterable[str],
    progress: Progress,
    *,
    target_exists: bool,
) -> list[str]:
    """Test what the migration needs, and add a finding for everything that is refused.

    Returns what copies do not get: "tags", and the names of storage classes, in place of which copies get the default
    class. A blocking finding counts here only if the user has accepted it.
    """
    accepted = set(accept) & set(ACCEPTABLE)
    left_out: list[str] = []
    with progress.stage("trying what is allowed", unit=""):
        missing = Missing()
        if _has_work(plan):
            if _read_samples(plan, store, layout, missing) and TAGS in accepted:
                left_out.append("tags")
            rights, across = Rights(store, layout.target_bucket), store.ends[0] is not store.ends[1]
            target = _Target(plan, rights, f"s3://{layout.target_bucket}/", missing, across=across)
            target.try_all(exists=target_exists)
            defaults = target.tiers + (target.refused_classes if CLASSES in accepted else [])
            left_out += _use_default_class(plan, defaults)
        _report(plan, missing)
        _try_catalogs(plan, catalogs)
    return left_out


def _has_work(plan: PlanFile) -> bool:
    query = f"SELECT 1 FROM objects WHERE {TO_WRITE} UNION ALL SELECT 1 FROM versions WHERE action = '{COPY}' LIMIT 1"
    return plan.db.execute(query).fetchone() is not None


def _report(plan: PlanFile, missing: Missing) -> None:
    for (action, resource), (place, said) in missing.rights.items():
        message = f"the permission {action} on {resource} is missing: {said}"
        move = f'Grant it ("migrator policy" prints all that is needed), or plan with {_SKIP}.'
        plan.add_finding(Finding.of("missing-permission", place, message, move))


def _incomplete(plan: PlanFile, place: str, what: str, error: StoreError | CatalogError) -> None:
    message = f"{what} could not be tested: {error.message}"
    plan.add_finding(Finding.of("preflight-incomplete", place, message, error.next_move))


# -- the old buckets -------------------------------------------------------------------------------------


def _read_samples(plan: PlanFile, store: Store, layout: Layout, missing: Missing) -> bool:
    """Read a sample of each old prefix, and its tags. True if tags may not be read somewhere."""
    rights = {bucket: Rights(store, bucket) for bucket in layout.buckets}
    untagged: dict[str, Failed[Sample]] = {}

    def read(sample: Sample) -> None:
        rights[sample.bucket].read(sample.key, sample.size, sample.version_id)

    def read_tags(sample: Sample) -> None:
        rights[sample.bucket].read_tags(sample.key, sample.version_id)

    samples = [*_samples(plan, layout), *_older_samples(plan)]
    for failed in _failed(read, samples):
        version = "Version" if failed.item.version_id else ""
        _note_failure(plan, failed, f"s3:GetObject{version}", "reading it", rights, missing)
    for failed in _failed(read_tags, samples):
        if isinstance(failed.error, AccessDenied):
            untagged.setdefault(failed.item.rule, failed)
        elif isinstance(failed.error, StoreError) and not refused(failed.error):  # a server without tags has none
            _note_failure(plan, failed, "", "reading its tags", rights, missing)
    for failed in untagged.values():
        sample = failed.item
        action = "s3:GetObjectVersionTagging" if sample.version_id else "s3:GetObjectTagging"
        message = (
            f"the permission {action} on {rights[sample.bucket].resource} is missing, so it is not known which "
            f"objects have tags: {failed.error.message}"
        )
        move = f'Grant it, or copy without any tags: [plan] accept = ["{TAGS}"].'
        plan.add_finding(Finding.of(TAGS, sample.rule, message, move))
    return bool(untagged)


def _failed(job: Callable[[Sample], None], samples: list[Sample]) -> list[Failed[Sample]]:
    return [outcome for outcome in run_in_threads(job, samples, workers=WORKERS) if isinstance(outcome, Failed)]


def _note_failure(
    plan: PlanFile, failed: Failed[Sample], action: str, what: str, rights: Mapping[str, Rights], missing: Missing
) -> None:
    sample, error = failed.item, failed.error
    place = f"s3://{sample.bucket}/{sample.key}"
    if isinstance(error, AccessDenied):
        missing.add(action, rights[sample.bucket].resource, place, error)
    elif isinstance(error, StoreError) and not isinstance(
        error, NotFound
    ):  # a deleted object is no matter of permissions
        _incomplete(plan, place, what, error)


def _samples(plan: PlanFile, layout: Layout) -> Iterator[Sample]:
    """An object of each of the first folders of each rule."""
    for rule in layout.rules:
        low, high = keys_under(rule.prefix)
        for _ in range(FOLDERS if rule.target is not None else 0):
            row = plan.db.execute(
                f"SELECT key, size FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND {TO_WRITE} AND {_AWAKE}"
                " ORDER BY key LIMIT 1",
                (rule.bucket, low or "", high),
            ).fetchone()
            if row is None:
                break
            yield Sample(rule.bucket, row[0], row[1], rule.source)
            inside = row[0][len(keys_under(rule.prefix)[0]) if rule.prefix else 0 :]
            folder, slash, _ = inside.partition("/")
            # Next: after this folder ("0" follows "/"), or after this object if it lies in no folder.
            low = row[0][: len(row[0]) - len(inside)] + folder + ("0" if slash else "\0")


def _older_samples(plan: PlanFile) -> Iterator[Sample]:
    query = (
        "SELECT bucket, key, size, 's3://' || bucket || '/', version_id FROM versions"
        f" WHERE {VERSIONS_TO_COPY} AND {_AWAKE} GROUP BY bucket"
    )
    for row in plan.db.execute(query).fetchall():
        yield Sample(*row)


# -- the target ------------------------------------------------------------------------------------------


class _Target:
    """Sends trial requests to the target bucket, or to its server if there is no such bucket yet."""

    def __init__(self, plan: PlanFile, rights: Rights, place: str, missing: Missing, *, across: bool) -> None:
        """``across``: the target is on another server than the old buckets."""
        self._plan, self._rights, self._place, self._missing = plan, rights, place, missing
        self._across = across
        self.refused_classes: list[str] = []
        self.tiers: list[str] = []
        """Storage classes that only the old server has."""

    def try_all(self, *, exists: bool) -> None:
        """Send all trial requests, and remove what they wrote. ``exists``: there is a target bucket."""
        if exists and self._rights.keeps_by_default():
            message = (
                "was not tested by writing: it locks new objects by default, so that a test object could not be removed"
            )
            self._plan.add_finding(Finding.of("preflight-incomplete", self._place, message))
            return
        try:
            if may_write := self._try("s3:PutObject", "writing to it", self._rights.write):
                tagged = partial(self._rights.write, Tagging="migrator=preflight")
                self._try("s3:PutObjectTagging", "writing tags", tagged)
                if self._try("s3:PutObject", "an upload in parts", self._rights.upload_in_parts) and exists:
                    self._try("s3:AbortMultipartUpload", "aborting an upload", self._rights.abort)
            self._try_classes()
            self._try_keys()
            if may_write:
                self._try_key_below_key()
        except StoreError as error:  # the server fails at the moment: each further request would wait as long
            _incomplete(self._plan, self._place, "writing to it", error)
        finally:
            self._clean(existed=exists)

    def _try(self, action: str, what: str, request: Callable[[], None]) -> bool:
        """True unless the permission is missing. A target that does not exist allows everything."""
        try:
            request()
        except NotFound:
            pass
        except AccessDenied as error:
            self._missing.add(action, self._rights.resource, self._place, error)
            return False
        except StoreError as error:
            if not refused(error):
                raise
            _incomplete(self._plan, self._place, what, error)
        return True

    def _try_classes(self) -> None:
        for name, place, count in self._plan.db.execute(_CLASSES_IN_USE).fetchall():
            own = name not in S3_CLASSES
            error = None if own and self._across else self._refusal(partial(self._rights.write, StorageClass=name))
            if own and (error is not None or self._across):
                self.tiers.append(name)
                message = f"has the storage class {name}, a tier of its server's own; its copy gets the default class"
                self._plan.add_finding(Finding.of("server-tier", place, message, count=count))
            elif error is not None:
                self.refused_classes.append(name)
                message = f"is in storage class {name}, which the target does not accept: {error.message}"
                move = f'Give such objects the default class: [plan] accept = ["{CLASSES}"].'
                self._plan.add_finding(Finding.of(CLASSES, place, message, move, count=count))

    def _try_keys(self) -> None:
        for shape, folders in odd_keys(self._plan).items():
            error = self._refusal(partial(self._rights.write, shape.name))
            said = error.message if error is not None else ""
            if error is None and self._changed(shape.name):
                said = "it stores them under another key"
            for (folder, example), count in folders.items() if said else ():
                message = f"its key has {shape.said}, which the target does not accept: {said}"
                move = f'Rename it in the old bucket, or leave it where it is: "{folder}" = false.'
                self._plan.add_finding(Finding.of("key-refused", example, message, move, count=count))

    def _try_key_below_key(self) -> None:
        """Test whether the target accepts the object ``k/sub`` if there is an object ``k``. Some servers refuse it;
        MinIO accepts it and never lists it."""
        found = self._plan.db.execute(f"{_KEY_BELOW_KEY} LIMIT {EXAMPLES}").fetchall()
        if not found:
            return
        error = self._refusal(partial(self._rights.write, "k")) or self._refusal(partial(self._rights.write, "k/sub"))
        said = error.message if error is not None else ""
        if error is None and self._changed("k/sub"):
            said = "it does not list them"
        for bucket, key in found if said else ():
            below = f"{key}/"
            message = f"is an object, and there are objects below {below!r}, which the target does not accept: {said}"
            move = f'Rename it in the old bucket, or leave both where they are: "s3://{bucket}/{key}/" = false.'
            self._plan.add_finding(Finding.of("key-refused", f"s3://{bucket}/{key}", message, move))

    def _changed(self, name: str) -> bool:
        """True if the server does not list what was written to this key."""
        try:
            return not self._rights.listed(name)
        except StoreError:  # no target
            return False

    def _refusal(self, request: Callable[[], None]) -> StoreError | None:
        """The server's error, if it does not support the request. A missing permission was found before."""
        try:
            request()
        except (NotFound, AccessDenied):
            return None
        except StoreError as error:
            if not refused(error):
                raise
            return error
        return None

    def _clean(self, *, existed: bool) -> None:
        """Remove what was written, and report what could not be removed."""
        left = self._rights.clean(existed=existed)
        error = self._rights.error
        if left and isinstance(error, AccessDenied):
            self._missing.add("s3:DeleteObject and s3:DeleteObjectVersion", self._rights.resource, left[0], error)
        elif left:
            message = "is an empty object that the preflight could not remove"
            self._plan.add_finding(Finding.of("preflight-incomplete", left[0], message, "Remove it.", count=len(left)))


def _use_default_class(plan: PlanFile, classes: list[str]) -> list[str]:
    """Give the copies of objects in these storage classes the default class. Returns the classes."""
    for table in ("objects", "versions"):
        marks = ", ".join("?" * len(classes))
        plan.db.execute(f"UPDATE {table} SET storage_class = 'STANDARD' WHERE storage_class IN ({marks})", classes)
    return classes


# -- catalogs --------------------------------------------------------------------------------------------


def _try_catalogs(plan: PlanFile, catalogs: Mapping[str, Catalog]) -> None:
    """Test in each catalog whether its pointers could be changed."""
    for name, catalog in catalogs.items():
        tables, namespaces = repoints_of(plan, name)
        if not tables and not namespaces:
            continue
        try:
            catalog.check_repoint(tables, namespaces)
        except PlanBusy as error:
            plan.add_finding(Finding.of("preflight-incomplete", f"catalog {name}", error.message, error.next_move))
        except CannotRepoint as error:
            move = error.next_move or "Leave its tables where they are: [tables] leave."
            plan.add_finding(Finding.of("catalog-cannot-repoint", f"catalog {name}", error.message, move))
        except CatalogError as error:
            move = f"Let its user write to it, or plan with {_SKIP}."
            plan.add_finding(Finding.of("catalog-read-only", f"catalog {name}", error.message, move))
