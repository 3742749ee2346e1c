"""Plans the local files that are uploaded."""

from __future__ import annotations

from pathlib import Path

from migrator.carriers.kinds import SINK, SOURCE, carrier_of
from migrator.carriers.logs import paths_of_log
from migrator.errors import Unreadable
from migrator.findings import EXAMPLES, Finding, counted, first_of
from migrator.inventory.local_files import LocalFolder, local_folders, read_folder, sha256
from migrator.layout import Layout
from migrator.plan.diff import AMBIGUOUS
from migrator.planfile.connecting import insert_rows
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import CONFLICT, COPY, LOCAL, OVERWRITE, REWRITE, ROLE_LOCAL, SAME
from migrator.progress import Progress
from migrator.store import Store

_INTO = "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action, role)"
_AMBIGUOUS = f"SELECT id, key, target FROM objects WHERE bucket = '{LOCAL}' AND action = '{AMBIGUOUS}'"


def list_local_files(plan: PlanFile, layout: Layout, progress: Progress) -> None:
    """Put the local files that are uploaded into the plan, and report each folder, and what is wrong with it."""
    for folder in local_folders(layout):
        with progress.stage("reading local files") as stage:
            found = read_folder(folder)
            stage.advance(len(found.files), sum(stored.size for _, stored in found.files))
        for problem, count in first_of(found.problems, EXAMPLES):
            move = "Run migrator where the folder is, as a user who may read it, or remove the rule from [layout]."
            plan.add_finding(Finding.of("local-folder", folder.place, problem, move, count=count))
        rows = [
            (LOCAL, one.key, one.size, one.etag, one.modified, one.storage_class, folder.target_of(path), COPY, role)
            for path, one in found.files
            for role in (_role(path, layout),)
        ]
        insert_rows(plan.db, _INTO, rows)
        if found.files:
            plan.add_finding(_finding(layout, folder, len(found.files), found.left_out))


def _finding(layout: Layout, folder: LocalFolder, count: int, left_out: int) -> Finding:
    to = f"s3://{layout.target_bucket}/{folder.target}/"
    message = f"has {counted(count, 'file')} that {'is' if count == 1 else 'are'} uploaded to {to}"
    message += f"; {counted(left_out, 'symbolic link')} or other special files are left out" if left_out else ""
    return Finding.of("local-files", folder.place, message, count=count)


def _role(path: Path, layout: Layout) -> str:
    """What the file is: part of the log of a stream that names what moves, or a file that is uploaded as it is."""
    carrier = carrier_of(str(path)[1:])
    if carrier is None or carrier.code not in (SOURCE, SINK):
        return ROLE_LOCAL
    try:
        with path.open("rb") as file:
            moved = any(layout.new_path(name) not in (None, name) for name in paths_of_log(file, str(path)))
    except (OSError, Unreadable):
        return ROLE_LOCAL
    return carrier.code if moved else ROLE_LOCAL


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
