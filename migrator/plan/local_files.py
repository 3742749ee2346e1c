"""Plans the local files that are uploaded."""

from __future__ import annotations

from pathlib import Path

from migrator.carriers.kinds import SAID, SINK, SOURCE, Carrier, Place, carrier_of, places_in
from migrator.carriers.logs import paths_of_log
from migrator.errors import Unreadable
from migrator.findings import BLOCK, EXAMPLES, WARN, Finding, counted, first_of
from migrator.inventory.local_files import LocalFolder, local_folders, misspelled_rules, read_folder, sha256
from migrator.layout import Layout
from migrator.plan.carriers import WHOLE, must_not_be_named
from migrator.plan.object_actions import AMBIGUOUS
from migrator.planfile.connecting import insert_rows
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import CONFLICT, COPY, LOCAL, OVERWRITE, REWRITE, ROLE_LOCAL, SAME
from migrator.progress import Progress
from migrator.store import Store

_INTO = "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action, role)"
_AMBIGUOUS = f"SELECT id, key, target FROM objects WHERE bucket = '{LOCAL}' AND action = '{AMBIGUOUS}'"


def list_local_files(plan: PlanFile, layout: Layout, progress: Progress) -> None:
    """Add the local files that are uploaded to the plan, with a finding for each folder and each problem."""
    for name in misspelled_rules(layout):
        message = "names another machine instead of a folder of this one, so nothing of it is uploaded"
        move = 'Write it with three slashes: "file:///tmp/checkpoints/". Or remove the rule from [layout].'
        plan.add_finding(Finding.of("local-folder", f"{name}/", message, move))
    for folder in local_folders(layout):
        with progress.stage("reading local files", unit="files") as stage:
            found = read_folder(folder, layout)
            stage.advance(len(found.files), sum(stored.size for _, stored in found.files))
        for problem, count in first_of(found.problems, EXAMPLES):
            move = "Run migrator where the folder is, as a user who may read it, or remove the rule from [layout]."
            plan.add_finding(Finding.of("local-folder", folder.place, problem, move, count=count))
        rows = [
            (LOCAL, one.key, one.size, one.etag, one.modified, one.storage_class, folder.target_of(path), COPY, role)
            for path, one in found.files
            for role in (_role(plan, path, layout),)
        ]
        insert_rows(plan.db, _INTO, rows)
        if found.files:
            plan.add_finding(_finding(layout, folder, len(found.files), found.left_out))


def _finding(layout: Layout, folder: LocalFolder, count: int, left_out: int) -> Finding:
    to = f"s3://{layout.target_bucket}/{folder.target}/"
    message = f"has {counted(count, 'file')} that {'is' if count == 1 else 'are'} uploaded to {to}"
    message += f"; {counted(left_out, 'symbolic link')} or other special files are left out" if left_out else ""
    return Finding.of("local-files", folder.place, message, count=count)


def _role(plan: PlanFile, path: Path, layout: Layout) -> str:
    """The role of the file: part of a stream's log that names what moves, or a file that is uploaded without change. A
    file that names what moves and cannot be rewritten gets a finding."""
    carrier = carrier_of(str(path)[1:])
    if carrier is None:
        return ROLE_LOCAL
    refused = "such files cannot be rewritten"
    if carrier.code in (SOURCE, SINK):
        try:
            with path.open("rb") as file:
                paths = [(name, layout.new_path(name)) for name in paths_of_log(file, f"file://{path}")]
        except OSError:
            return ROLE_LOCAL  # it was deleted, or is reported when it is read
        except Unreadable as error:
            refused = error.reason
        else:
            lost = next((name for name, new in paths if new is None and layout.is_source(name)), None)
            other = next((name for name, _ in paths if layout.later_rule(name) is not None), None)
            if lost is None and other is None:
                return carrier.code if any(new not in (None, name) for name, new in paths) else ROLE_LOCAL
            refused = f"no rule of [layout] covers {lost[:300]}" if lost is not None else ""
            refused = refused or f"another plan moves {(other or '')[:300]}: plan their rules together"
    if (named := _first_moved(carrier, path, layout)) is not None:
        message = f"{SAID[carrier.code]} and holds absolute paths to what moves, such as {named.uri[:300]}; {refused}"
        move = f'Add a rule, or upload it as it is: [plan] accept = ["{carrier.code}"].'
        severity = WARN if carrier.minor else BLOCK
        plan.add_finding(Finding.of(carrier.code, f"file://{path}", message, move, severity=severity))
    return ROLE_LOCAL


def _first_moved(carrier: Carrier, path: Path, layout: Layout) -> Place | None:
    """The first place that the beginning of the file names and that its copy must not name."""
    try:
        with path.open("rb") as file:
            data = file.read(WHOLE)
    except OSError:
        return None
    if not data.startswith(carrier.sign):
        return None
    return next((place for place in places_in(carrier, data) if must_not_be_named(layout, place)), None)


def compare_local_files(plan: PlanFile, store: Store, layout: Layout) -> None:
    """Decide what happens to the local files; the listing of the target was compared with them. Other content at the
    target is a conflict, unless migrator wrote it."""
    for number, key, target in plan.db.execute(_AMBIGUOUS).fetchall():
        equal = store.sha256(layout.target_bucket, target) == sha256(Path(f"/{key}"))
        plan.db.execute("UPDATE objects SET action = ? WHERE id = ?", (SAME if equal else CONFLICT, number))
    plan.db.execute(
        f"UPDATE objects SET action = '{REWRITE}' WHERE bucket = '{LOCAL}' AND (action IN ('{COPY}', '{OVERWRITE}')"
        f" OR action = '{SAME}' AND role <> '{ROLE_LOCAL}' AND etag = target_etag)"
    )
