"""A store in memory and prepared answers, to test what the copier does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.servers import Servers
from migrator.errors import StoreError
from migrator.store import Checksum, Conditional, PartCopies, StoredObject, Upload
from migrator.store.outage import Outage
from migrator.store.wire import Answer

MD5_OF_A = "0cc175b9c0f1b6a831c399e269772661"
"""Of ``b"a"``."""
OTHER = "0" * 32


@dataclass
class FakeStore:
    """The part of a store that the copier uses. ``asked``: the names of the calls, in order."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    checksums: dict[str, Checksum] = field(default_factory=dict)
    part_checksums: list[tuple[int, Checksum | None]] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    """Key → what sha256 and etag_in_parts give."""
    part_bytes: int | None = None
    finish: Callable[[], str] = lambda: "etag-1"
    conditional: Conditional = field(default_factory=Conditional)
    part_copies: PartCopies = field(default_factory=PartCopies)
    asked: list[str] = field(default_factory=list)

    @property
    def uploads(self) -> FakeUploads:
        return FakeUploads(self)

    def endpoint(self) -> None:
        return None

    def give_up(self) -> None:
        self.asked.append("give_up")

    def find(self, bucket: str, key: str) -> StoredObject | None:
        self.asked.append("find")
        return self.objects.get(key)

    def checksum(self, bucket: str, key: str) -> Checksum | None:
        self.asked.append("checksum")
        return self.checksums.get(key)

    def part_checksum(self, bucket: str, key: str, number: int) -> tuple[int, Checksum | None]:
        self.asked.append("part_checksum")
        return self.part_checksums[number - 1]

    def part_size(self, bucket: str, stored: StoredObject) -> int | None:
        return self.part_bytes

    def etag_in_parts(self, bucket: str, key: str, size: int | None) -> str:
        self.asked.append("etag_in_parts")
        return self.hashes[key]

    def sha256(self, bucket: str, key: str, etag: str | None = None) -> str:
        self.asked.append("sha256")
        return self.hashes[key]


class FakeUploads:
    """The multipart uploads of a :class:`FakeStore`."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def begin(self, bucket: str, key: str, attributes: Any) -> Upload:
        self._store.asked.append("begin")
        return Upload(bucket, key, "id")

    def finish(self, upload: Upload, parts: Any, **named: Any) -> str:
        self._store.asked.append(f"finish {[part['PartNumber'] for part in parts]}")
        return self._store.finish()

    def abort(self, upload: Upload) -> None:
        self._store.asked.append("abort")


def servers(source: FakeStore, target: FakeStore | None = None, options: Options | None = None) -> Servers:
    """One server, or two."""
    return Servers(source, source if target is None else target, "data-lake", options or Options())  # type: ignore[arg-type]


def item(etag: str = MD5_OF_A, size: int = 1, key: str = "a", **more: Any) -> Item:
    return Item(7, "from", StoredObject(key, size, etag, 0), f"to/{key}", **more)


class FakeWire:
    """Gives these answers, one for each request. An exception in them is raised."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []
        self.outage = Outage()

    async def request(self, method: str, bucket: str, key: str = "", **named: Any) -> Answer:
        self.sent.append(f"{method} {bucket}/{key}")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def error(code: str, status: int) -> Answer:
    return Answer(status, {}, f"<Error><Code>{code}</Code><Message>why</Message></Error>".encode())


def refuse(message: str = "it says no") -> str:
    raise StoreError(message)
