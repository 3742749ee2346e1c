"""Compares the folder structure of a lake with the expected one: keys in, folders and findings out. Pure.

The expected folders are the prefixes of the layout, and the layers of ``[check] layers``. The purpose of a folder
follows from its name: ``warehouse`` has a folder for each namespace, ``checkpoints`` one for each stream, ``logs`` one
for each application, ``scripts`` has scripts; every other one is a layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from migrator.checking.streams import Stream, Streams
from migrator.findings import EXAMPLES, WARN, Finding, counted, first_of
from migrator.layout import Layout
from migrator.planfile.queries import is_hadoop_marker

WAREHOUSE, LAYER, CHECKPOINTS, LOGS, SCRIPTS = "warehouse", "layer", "checkpoints", "logs", "scripts"
KINDS = (WAREHOUSE, LAYER, CHECKPOINTS, LOGS, SCRIPTS)
"""The purposes of folders, in the order in which they are shown."""
PRESENT, OLD, MISSING = "present", "in old buckets", "missing"
"""Where the objects of a folder are now."""
MOST_PARTS = 1_000
"""How many folders inside a folder are kept one by one; the rest are counted."""
DATABASE = ".db"
"""How the folder of a namespace in a warehouse ends, as Spark's and pyiceberg's catalogs name it."""


@dataclass
class Part:
    """A folder inside a folder, or at the root of the bucket. ``name`` has no slash at its end."""

    name: str
    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one object."""
        self.objects += 1
        self.bytes += size


class Parts:
    """Folders by name, the first :data:`MOST_PARTS` of them. Keys must come in order."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._last = ""
        self.total = 0

    def add(self, name: str, size: int) -> None:
        """Count an object of this folder."""
        part = self._parts.get(name)
        if part is None:
            self.total += name != self._last
            self._last = name
            if len(self._parts) == MOST_PARTS:
                return
            part = self._parts[name] = Part(name)
        part.add(size)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())


@dataclass
class Folder:
    """An expected folder. ``name``: its key in the target, without a slash at its end."""

    name: str
    kind: str
    objects: int = 0
    bytes: int = 0
    state: str = MISSING
    parts: Parts = field(default_factory=Parts)
    loose: int = 0
    """Objects directly in the folder, not in a folder inside it."""
    loose_example: str = ""
    streams: list[Stream] = field(default_factory=list)

    @property
    def layer(self) -> str:
        """The last part of its name: the name of a layer, and of its namespace."""
        return self.name.rpartition("/")[2]

    def key_of(self, stream: Stream) -> str:
        """The folder of a checkpoint in the target, without a slash at its end."""
        return f"{self.name}/{stream.folder}".rstrip("/")

    def streams_in(self, part: str) -> list[Stream]:
        """The checkpoints in a folder inside this one."""
        return [stream for stream in self.streams if stream.folder == part or stream.folder.startswith(f"{part}/")]


def expected_folders(layout: Layout, layers: Iterable[str]) -> list[Folder]:
    """The folders that the target should have, in the order in which they are shown."""
    rules = [rule for rule in layout.rules if rule.target]
    names = dict.fromkeys([*(str(rule.target) for rule in rules), *layers])
    outer = [name for name in names if not any(name.startswith(f"{other}/") for other in names)]
    kinds = {str(rule.target): rule.bucket for rule in reversed(rules) if not rule.prefix}
    folders = [Folder(name, _kind(name, kinds.get(name, ""))) for name in outer]
    return sorted(folders, key=lambda folder: KINDS.index(folder.kind))


def _kind(name: str, bucket: str) -> str:
    """The purpose of a folder, by its name or that of the bucket that becomes it."""
    known = [kind for kind in (name.rpartition("/")[2], bucket) if kind in KINDS and kind != LAYER]
    return known[0] if known else LAYER


class Structure:
    """The expected folders, and the objects in the bucket. Keys must be added in order, one place after the other."""

    def __init__(self, layout: Layout, layers: Sequence[str] = (), wanted: Sequence[str] = ()) -> None:
        """``layers``: those in lake.toml that no old bucket becomes. ``wanted``: new ones that the user wants to
        add."""
        self.bucket, self.layers, self.wanted = layout.target_bucket, tuple(layers), tuple(wanted)
        self.known = tuple(folder.name for folder in expected_folders(layout, layers))
        self.folders = expected_folders(layout, (*layers, *wanted))
        self.whole = any(rule.target == "" for rule in layout.rules)
        """True if a rule moves a bucket to the root of the target: then any folder there may be expected."""
        self.others = Parts()
        self.at_root: list[str] = []
        self.root_objects = 0
        self._by_top: dict[str, list[Folder]] = {}
        for folder in self.folders:
            self._by_top.setdefault(folder.name.partition("/")[0], []).append(folder)
        self._streams = {folder.name: Streams() for folder in self.folders if folder.kind == CHECKPOINTS}

    def folder_of(self, key: str) -> Folder | None:
        """The expected folder that a key lies in."""
        for folder in self._by_top.get(key.partition("/")[0], ()):
            if key.startswith(f"{folder.name}/") or key == folder.name:
                return folder
        return None

    def add(self, key: str, size: int, *, state: str = PRESENT) -> None:
        """Add an object. ``key``: its key in the target, or, with another ``state``, the key that it would have
        there."""
        if is_hadoop_marker(key, size):
            return
        folder = self.folder_of(key) if "/" in key else None
        if folder is None:
            self._add_other(key, size)
            return
        folder.state = state
        folder.objects += 1
        folder.bytes += size
        inside, slash, _ = key[len(folder.name) + 1 :].partition("/")
        if slash:
            folder.parts.add(inside, size)
        elif inside:
            folder.loose += 1
            folder.loose_example = folder.loose_example or key
        if folder.kind == CHECKPOINTS:
            self._streams[folder.name].add(key[len(folder.name) + 1 :])

    def _add_other(self, key: str, size: int) -> None:
        first, slash, rest = key.partition("/")
        if not slash:
            self.root_objects += 1
            if len(self.at_root) < EXAMPLES:
                self.at_root.append(key)
        elif first in self._by_top and "/" in rest:  # for example next to the folder lake/bronze/
            self.others.add(f"{first}/{rest.partition('/')[0]}", size)
        else:
            self.others.add(first, size)

    def finish(self) -> None:
        """Call it after the last key."""
        for folder in self.folders:
            if folder.kind == CHECKPOINTS:
                folder.streams = self._streams[folder.name].finish()

    # -- findings --------------------------------------------------------------------------------------

    def findings(self) -> Iterator[Finding]:
        """The findings about the structure."""
        if not self.whole:
            yield from self._outside()
        for folder in self.folders:
            if folder.state == OLD:
                message = f"is empty: {counted(folder.objects, 'object')} for it lie in the old buckets"
                yield Finding.of("not-migrated", self._place(folder.name), message, 'Run "migrator plan".')
            elif folder.state == MISSING and folder.name not in self.wanted:
                yield Finding.of("folder-missing", self._place(folder.name), "holds nothing yet")
            yield from self._inside(folder)
        yield from (self._where(name) for name in self.wanted)

    def _outside(self) -> Iterator[Finding]:
        for number, key in enumerate(self.at_root, 1):
            count = self.root_objects - len(self.at_root) + 1 if number == len(self.at_root) else 1
            place = f"s3://{self.bucket}/{key}"
            yield Finding.of("stray-object", place, "lies at the root of the bucket", "Move or remove it.", count=count)
        others = list(self.others)
        for number, part in enumerate(others, 1):
            count = self.others.total - len(others) + 1 if number == len(others) else 1
            message = f"is no folder of the structure; it holds {counted(part.objects, 'object')}"
            move = f"If it is a new layer, write in lake.toml: {self.line_for(part.name)}. Else move or remove it."
            yield Finding.of("stray-folder", self._place(part.name), message, move, count=count)

    def _inside(self, folder: Folder) -> Iterator[Finding]:
        if folder.loose and folder.kind in (WAREHOUSE, CHECKPOINTS, LOGS):
            what = {WAREHOUSE: "namespace", CHECKPOINTS: "stream", LOGS: "application"}[folder.kind]
            message = f"lies directly in {folder.name}/, which has one folder for each {what}"
            yield Finding.of("loose-object", f"s3://{self.bucket}/{folder.loose_example}", message, count=folder.loose)
        broken = [stream for stream in folder.streams if stream.trouble]
        for stream, count in first_of(broken, EXAMPLES):
            place, message = self._place(folder.key_of(stream)), f"is the checkpoint of a stream, and {stream.trouble}"
            move = "Restore the file, or let the stream run once more."
            yield Finding.of("checkpoint-incomplete", place, message, move, count=count, severity=WARN)
        if folder.kind == CHECKPOINTS:
            none = [part for part in folder.parts if not folder.streams_in(part.name)]
            for part, count in first_of(none, EXAMPLES):
                place = self._place(f"{folder.name}/{part.name}")
                yield Finding.of("no-checkpoint", place, "holds no checkpoint of Spark or Flink", count=count)

    def _where(self, name: str) -> Finding:
        """The finding that says where a new layer goes."""
        if name in self.known:
            return Finding.of("new-layer", self._place(name), "belongs to the structure already")
        places = ["is the place of the new layer"]
        if warehouse := self.first_of_kind(WAREHOUSE):
            places.append(f"its Iceberg tables go to {self._place(f'{warehouse}/{name}{DATABASE}')}")
        if checkpoints := self.first_of_kind(CHECKPOINTS):
            places.append(f"its checkpoints go to {self._place(f'{checkpoints}/{name}')}")
        return Finding.of(
            "new-layer", self._place(name), "; ".join(places), f"Write in lake.toml: {self.line_for(name)}."
        )

    def line_for(self, name: str) -> str:
        """The line for lake.toml that adds this folder to the structure."""
        return f"[check] layers = {json.dumps(list(dict.fromkeys([*self.layers, *self.wanted, name])))}"

    def first_of_kind(self, kind: str) -> str:
        """The name of the first expected folder of a kind; "" if there is none."""
        return next((folder.name for folder in self.folders if folder.kind == kind), "")

    def _place(self, folder: str) -> str:
        return f"s3://{self.bucket}/{folder}/"
