"""What is known about each server: the table in docs/servers.md, and the losses that a test expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import fetched
from migrator.demo.server import Server
from servers.others import POM, VERSITYGW, AsMinio, S3Mock, Versitygw

Losses = Mapping[str, tuple[str, ...]]
"""A sentence for docs/servers.md → its meaning: each ``OBJECT: ATTRIBUTE``, or ``OBJECT`` if all of it is lost. Objects
have the names of servers/objects.py, and the files of tables are "table file"."""

OBJECTS = "two tables and objects of all kinds, at every change"
CLASSES = "storage classes other than STANDARD and REDUCED_REDUNDANCY"
SLASHES = "keys with `//`"
REDIRECTS = "website redirects"
KIND = "the kind of a checksum: FULL_OBJECT instead of COMPOSITE (`migrate` says how many)"
NOT_KEPT_BELOW: Losses = {REDIRECTS: ("redirect: WebsiteRedirectLocation",), "metadata of `x/`": ("marker: Metadata",)}
WITH_ALL = ("everything, empty", "parts", "parts with CRC32")


@dataclass(frozen=True)
class Known:
    """One row. ``server`` is None for a server that cannot be started here."""

    name: str
    version: str
    tested: str
    server: type[Server] | None = None
    not_kept: Losses = field(default_factory=dict)
    """What the server does not take, or does not keep with a new object; no migration is needed for that."""
    lost: Losses = field(default_factory=dict)
    """What the old bucket has, and the target does not have after a migration on this server."""
    checksums: Mapping[str, int] = field(default_factory=dict)
    """What ``migrate --json`` says about checksums that are not the same at the target."""
    missing: Callable[[], str] = str
    """Why the server cannot run here; "" if it can."""


KNOWN = [
    Known(
        "SeaweedFS",
        "4.48 or newer",
        f"in CI: {OBJECTS}; so are all other end-to-end tests",
        Server,
        not_kept={SLASHES: ("two slashes",), **NOT_KEPT_BELOW},
    ),
    Known(
        "Adobe s3mock",
        "4.7.0",
        f"in CI: {OBJECTS}",
        S3Mock,
        not_kept={
            REDIRECTS: ("redirect: WebsiteRedirectLocation",),
            "the space in `text/csv; charset=utf-8`": tuple(
                f"{name}: ContentType" for name in ("text headers", *WITH_ALL)
            ),
            "tags as they are: it keeps them URL-encoded": tuple(f"{name}: Tags" for name in ("tags", *WITH_ALL)),
        },
        lost={
            "tags of objects that are copied in parts are URL-encoded once more": ("parts: Tags",),
        },
        missing=lambda: fetched.missing_for_jars(POM),
    ),
    Known(
        "versitygw, on a folder",
        "1.8.0",
        f"in CI: {OBJECTS}",
        Versitygw,
        not_kept={
            "an object `k/sub` beside an object `k`": ("k/sub",),
            SLASHES: ("two slashes",),
            "storage classes": ("storage class: StorageClass", "colder class: StorageClass"),
        },
        lost={
            KIND: ("parts with CRC32: Checksum",),
            "the checksum of `x/`: always CRC64NVME": (
                "marker: Checksum",
                "marker with an object below: Checksum",
            ),
        },
        checksums={"kind changed": 1},
        missing=lambda: fetched.missing_for_go(VERSITYGW),
    ),
    Known(
        "SeaweedFS behind a proxy that imitates MinIO",
        "4.48 or newer",
        f"in CI: {OBJECTS}",
        AsMinio,
        not_kept={CLASSES: ("colder class",), SLASHES: ("two slashes",), **NOT_KEPT_BELOW},
        lost={KIND: ("parts with CRC32: Checksum",)},
        checksums={"kind changed": 1},
    ),
    Known(
        "MinIO",
        "RELEASE of 2026-02 (built from source)",
        "by hand, not in CI",
        not_kept={
            CLASSES: (),
            "keys with `//`, or with `.` or `..` between slashes, or more than 255 bytes between two slashes": (),
            "`&` in a tag": (),
            "an object `k/sub` beside an object `k` can be written and read, but no listing shows it": (),
        },
        lost={
            f"{KIND}, of objects that are copied in one request": (),
            "retention and legal hold, without `--object-lock`": (),
        },
    ),
    Known("AWS S3", "", "not tested by us: what migrator does there follows its documentation"),
]


def table() -> str:
    """The table in docs/servers.md."""
    lines = [
        "| server | version | tested | what the server itself does not take or keep | what a migration there loses |"
    ]
    lines.append("|---|---|---|---|---|")
    for known in KNOWN:
        told = known.server is not None or known.lost
        cells = ["; ".join(losses) or ("nothing of what was tried" if told else "unknown to us")
                 for losses in (known.not_kept, known.lost)]  # fmt: skip
        lines.append(f"| {known.name} | {known.version} | {known.tested} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"
