"""A file that a command writes anew may be named by a symbolic link: the link stays, and its file is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.monitoring import exposition
from migrator.progress.metrics_file import MetricsFile
from migrator.reporting.html.output import write_page
from migrator.reporting.html.page import MARKER
from migrator.workers.pack import pack
from monitoring.test_exposition import status

WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "migrate --metrics-file": (".prom", lambda path: MetricsFile(path, "p")),
    "metrics -o": (".prom", lambda path: exposition.write(status(), path)),
    "report": (".html", lambda path: write_page(f"{MARKER} new", path)),
    "pack": (".zip", pack),
}


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("is_there", [True, False], ids=["replaces its file", "leads to nothing yet"])
def test_a_link_stays(tmp_path: Path, command: str, is_there: bool) -> None:
    suffix, write = WRITERS[command]
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / f"file{suffix}", tmp_path / f"link{suffix}"
    if is_there:
        write(file)
        before = file.stat().st_ino
    link.symlink_to(file)
    write(link)
    assert link.is_symlink() and file.stat().st_size > 0
    assert not is_there or file.stat().st_ino != before, "it was not written again"
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["elsewhere", file.name, link.name])
