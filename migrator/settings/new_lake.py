"""A new lake: the settings of its bucket, and its lake.toml. Nothing expires unless the user asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.errors import ConfigError
from migrator.layout import MEDALLION, MEDALLION_WAREHOUSES, Layout
from migrator.settings.compare import canonical_rule, same
from migrator.settings.kinds import (
    ENCRYPTION,
    LIFECYCLE,
    MALFORMED,
    UNKNOWN_FORM,
    VERSIONING,
    Document,
    Lake,
    Notes,
    mappings,
    plain,
)
from migrator.settings.lifecycle import kept_below
from migrator.settings.translate import Change, Translation
from migrator.settings.whole_bucket import decided_encryption

ABORT_DAYS = 7
"""After how many days the parts of an unfinished upload are removed."""
HOLDS = {
    "warehouse": "Iceberg tables",
    "bronze": "raw data, as it came in",
    "silver": "cleaned and validated data",
    "gold": "aggregated data, ready for reports",
    "checkpoints": "checkpoints of streaming jobs",
    "logs": "logs of applications",
    "scripts": "jobs and other scripts",
}
"""The content of each layer of the built-in layout."""
_NO_ENDPOINT = '# endpoint_url = "http://localhost:9000"    # default: AWS_ENDPOINT_URL_S3, else AWS itself'
_TOML = """\
# The lake in the bucket {name}. Made by "migrator init"; "migrator explain --config-example" shows every key.
#
# Do not write credentials here. They come from the usual AWS places: AWS_PROFILE, AWS_ACCESS_KEY_ID and
# AWS_SECRET_ACCESS_KEY, or the instance's role.

[source]
{endpoint}
{region}

[target]
bucket = {bucket}

# The layers are folders of the bucket, such as s3a://{name}/{layer}/. A new layer is one more line.
# Scripts that still name a bucket for each layer are rewritten by
#   migrator rewrite-config --config lake.toml jobs/
# and where there are such buckets, this shows how what is in them would move, tables included:
#   migrator plan --config lake.toml
[layout]
{layout}

# The catalog of the Iceberg tables, with the property names of pyiceberg. Its password belongs into .pyiceberg.yaml.
# [catalogs.iceberg]
# type = "sql"
# uri = "postgresql+psycopg2://iceberg@localhost:5432/iceberg"
# warehouse = {warehouse}
"""


@dataclass(frozen=True)
class NewLake:
    """The bucket, layers and settings of a new lake. ``expire``: layer → days after which its objects are deleted.
    ``encryption``: ``sse-s3``, ``sse-kms``, ``sse-kms:KEY``; None for SSE-S3 if the bucket has no encryption and the
    server supports it. ``versioning``: older versions are kept. ``markers``: each layer gets an empty object, so that
    consoles show it."""

    bucket: str
    layers: tuple[str, ...] = MEDALLION
    expire: Mapping[str, int] = field(default_factory=dict)
    abort_days: int = ABORT_DAYS
    encryption: str | None = None
    versioning: bool = False
    markers: bool = False
    expire_tables: bool = False

    def layout(self) -> Layout:
        """The layout: a bucket of each layer's name goes to that layer. Raises ConfigError."""
        mapping: dict[str, str | bool] = {f"s3://{layer}/": f"{layer}/" for layer in self.layers}
        mapping |= {
            source: target
            for source, target in MEDALLION_WAREHOUSES.items()
            if {source.split("/")[2], target.strip("/")} <= {*self.layers}
        }
        return Layout.from_mapping(self.bucket, mapping)

    def check(self) -> None:
        """Raises ConfigError for invalid layers and expirations."""
        layout = self.layout()
        for layer in self.expire:
            if layer not in self.layers:
                raise ConfigError(
                    f"--expire {layer}: there is no such layer.", next_move=f"There are: {', '.join(self.layers)}."
                )
            kept = kept_below(Lake(layout, {}, {}), f"{layer}/")
            if kept and not self.expire_tables:
                raise ConfigError(
                    f"--expire {layer}: this would delete files of tables or checkpoints that are still needed.",
                    next_move="Expire snapshots with your engine instead; or, if you are sure, add --expire-tables.",
                )


def settings_of(
    new: NewLake,
    present: Mapping[str, Document],
    *,
    unread: Mapping[str, str] | None = None,
    minio: bool = False,
    missing: bool = False,
) -> Translation:
    """The settings that a new lake's bucket gets, in addition to those that it has. ``unread``: setting → why it could
    not be read."""
    result = Translation(new.bucket, missing=missing)
    wanted = {ENCRYPTION: _encryption(new, present)}
    if new.versioning:
        wanted[VERSIONING] = {"Status": "Enabled"}
    notes = Notes(LIFECYCLE)
    wanted[LIFECYCLE] = _lifecycle(new, present, notes, minio)
    for setting, document in wanted.items():
        if setting in (unread or {}):
            notes.block(new.bucket, f"its {setting} could not be read: {(unread or {})[setting]}")
            continue
        before = present.get(setting)
        if document is not None and not same(setting, before, document):
            result.changes.append(Change(setting, plain(before) if before else None, plain(document)))
    result.not_carried += notes.found
    return result


def _encryption(new: NewLake, present: Mapping[str, Document]) -> Document | None:
    if new.encryption is None and ENCRYPTION in present:
        return None
    return decided_encryption(new.encryption or "sse-s3")


def _lifecycle(new: NewLake, present: Mapping[str, Document], notes: Notes, minio: bool) -> Document | None:
    document = plain(present.get(LIFECYCLE) or {})
    try:
        rules = mappings(document.get("Rules", []))
        known = [canonical_rule(rule) for rule in rules]
    except MALFORMED:
        notes.block(new.bucket, f"its present rules cannot be kept: {UNKNOWN_FORM}")
        return None
    wanted: list[dict[str, Any]] = []
    if minio:
        notes.info(
            new.bucket, "MinIO removes open uploads itself after a day (stale_uploads_expiry), and accepts no rule"
        )
    else:
        abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": new.abort_days}}
        wanted.append({"ID": "abort-open-uploads", "Status": "Enabled", "Filter": {"Prefix": ""}, **abort})
    for layer, days in new.expire.items():
        ends = {"Filter": {"Prefix": f"{layer}/"}, "Expiration": {"Days": days}}
        wanted.append({"ID": f"expire-{layer}", "Status": "Enabled", **ends})
    for rule in wanted:
        if canonical_rule(rule) in known:
            continue
        if any(other.get("ID") == rule["ID"] for other in rules):
            notes.block(
                new.bucket, "the bucket has another rule of this ID", f"rule {rule['ID']!r}", "Remove that rule."
            )
            continue
        rules.append(rule)
    return {**document, "Rules": rules} if rules else None


def lake_toml(new: NewLake, endpoint_url: str | None, region: str | None) -> str:
    """The text of a lake.toml for this lake."""
    layout = new.layout().to_mapping()
    return _TOML.format(
        name=_comment(new.bucket),
        layer=_comment(new.layers[0]),
        bucket=_text(new.bucket),
        endpoint=f"endpoint_url = {_text(endpoint_url)}" if endpoint_url else _NO_ENDPOINT,
        region=f"region = {_text(region)}" if region else '# region = "us-east-1"',
        layout="\n".join(_rows(layout)),
        warehouse=_text(f"s3a://{new.bucket}/warehouse/"),
    )


def _rows(layout: Mapping[str, str | bool]) -> Iterable[str]:
    rows = [(source, f"{_text(source)} = {_text(str(target))}") for source, target in layout.items()]
    width = max(len(row) for _, row in rows)
    for source, row in rows:
        holds = HOLDS.get(source.removeprefix("s3://").strip("/"), "")
        yield f"{row:<{width}}  # {holds}" if holds else row


def _text(value: str) -> str:
    """A string of TOML; JSON writes it in the same way."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
