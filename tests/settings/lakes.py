"""Lakes and documents for the tests of this folder."""

from __future__ import annotations

import json
from typing import Any

from migrator.layout import Layout
from migrator.settings.kinds import Decisions, Document, Lake
from migrator.settings.translate import Translation

LAYOUT = Layout.from_mapping(
    "data-lake", {f"s3://{name}/": f"{name}/" for name in ("warehouse", "bronze", "gold", "checkpoints", "logs")}
)
MERGED = Layout.medallion("data-lake", ("warehouse", "bronze", "gold"))


def policy(*statements: Any, **others: Any) -> Document:
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements), **others})}


def allow(action: Any, *resources: str, **others: Any) -> dict[str, Any]:
    names = [f"arn:aws:s3:::{resource}" for resource in resources]
    who = {"AWS": "arn:aws:iam::111122223333:role/reader"}
    return {"Sid": "Read", "Effect": "Allow", "Principal": who, "Action": action, "Resource": names, **others}


def expire(days: int = 30, prefix: str = "", name: str = "old", **others: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}, **others}


def lake(target: dict[str, Document] | None = None, layout: Layout = LAYOUT, **buckets: dict[str, Document]) -> Lake:
    return Lake(layout, buckets, target or {})


def decided(one: Lake, **decisions: Any) -> Lake:
    return Lake(one.layout, one.buckets, one.target, one.unread, one.tables, decisions=Decisions(**decisions))


def after(done: Translation, setting: str) -> Any:
    """The new document of a setting; None if it does not change."""
    return next((change.after for change in done.changes if change.setting == setting), None)


def statements(done: Translation) -> list[Any]:
    found = after(done, "policy")
    return list(json.loads(found["Policy"])["Statement"]) if found else []


def told(done: Translation, setting: str, severity: str = "") -> list[str]:
    """What is reported about a setting, each as ``severity bucket part: reason``."""
    return [
        f"{one.severity} {one.place[5:-1]} {one.part}: {one.reason}"
        for one in done.not_carried
        if one.setting == setting and severity in one.severity
    ]
