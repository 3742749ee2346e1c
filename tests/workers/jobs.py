"""Jobs for workers. They must be importable by name, also by executors."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from migrator.copying.batch_copier import BatchCopier
from migrator.copying.setup import Setup
from migrator.errors import Occupied
from migrator.progress.counts import RETRIES


class Echo:
    """Returns the argument that it was made with, the item, and its process. Fails for some items."""

    def __init__(self, made_with: str) -> None:
        self._made_with = made_with
        self._made = uuid.uuid4().hex

    def __call__(self, item: Any) -> Any:
        if item == "occupied":
            raise Occupied("s3://b/k is there.", next_move="Move it.")
        if item == "fault":
            raise RuntimeError("boom")
        if item == "dies":
            os._exit(7)
        if item == "retries":
            RETRIES.add(3)
        return self._made_with, item, self._made


class SlowCopier:
    """Copies a batch. Each attempt writes a file; the first attempt then waits for the file of the second one."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self._copier, self._folder = BatchCopier(setup, 100), folder

    def __call__(self, items: Any) -> Any:
        (self._folder / uuid.uuid4().hex).touch()
        copies = self._copier(items)
        deadline = time.monotonic() + 120
        while len(list(self._folder.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return copies
