"""Tables that were moved although no given catalog names them: nobody finds them at the target until they are
registered there, and the old ones are lost with the old buckets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from migrator.catalogs.base import TABLE, sql_literal
from migrator.layout import Location
from migrator.planfile.rows import PlannedTable

_SUFFIX = re.compile(r"-[0-9a-f]{32}$")
"""What Trino appends to the folder of a table."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A table or view at the target that no given catalog names. ``namespace`` and ``name`` are guessed from its
    folder; ``namespace`` is empty if it cannot be guessed."""

    kind: str
    namespace: str
    name: str
    old_location: str
    metadata_location: str

    def to_json(self) -> dict[str, str]:
        """The fields, as in the JSON of a plan."""
        return asdict(self)


def unregistered_tables(tables: Iterable[PlannedTable], registered: Iterable[str] = ()) -> list[Unregistered]:
    """The tables of a plan that no catalog names, neither in the plan nor now. ``registered``: the metadata
    locations that the catalogs hold now."""
    tables = list(tables)
    named = {metadata_folder(t.new_metadata) for t in tables if t.catalog is not None and t.new_metadata}
    current = {_place(uri) for uri in registered}
    # A table that was registered and then written to has newer metadata in the same folder.
    folders = {metadata_folder(uri) for uri in registered} - named
    return [
        Unregistered(table.kind, *_guess(table), table.old_location or table.old_metadata, table.new_metadata)
        for table in tables
        if table.catalog is None
        and table.new_metadata is not None
        and _place(table.new_metadata) not in current
        and metadata_folder(table.new_metadata) not in folders
    ]


def register_commands(table: Mapping[str, str]) -> list[tuple[str, str]]:
    """(engine, command) for each way to register such a table, described as by :meth:`Unregistered.to_json`. The
    catalog's name, and the namespace if it is unknown, are left for the user to fill in."""
    if table["kind"] != TABLE:
        return [("any", f"create the view again, or register its metadata: {table['metadata_location']}")]
    namespace, name, metadata = table["namespace"] or "<namespace>", table["name"], table["metadata_location"]
    folder, _, file = metadata.rpartition("/")
    spark = ".".join(part if re.fullmatch(r"[\w<>]+", part) else _backticks(part) for part in (namespace, name))
    location = folder.removesuffix("/metadata")
    return [
        (
            "Spark",
            f"CALL <catalog>.system.register_table(table => {_spark(spark)}, metadata_file => {_spark(metadata)})",
        ),
        (
            "Trino",
            f"CALL <catalog>.system.register_table(schema_name => {sql_literal(namespace)}, "
            f"table_name => {sql_literal(name)}, "
            f"table_location => {sql_literal(location)}, metadata_file_name => {sql_literal(file)})",
        ),
        ("pyiceberg", f"catalog.register_table(({namespace!r}, {name!r}), {metadata!r})"),
    ]


def _spark(text: str) -> str:
    """A string literal of Spark, where a backslash escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _backticks(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def _place(uri: str) -> tuple[str, str]:
    """Bucket and key: s3:// and s3a:// lead to the same place."""
    at = Location.parse(uri)
    return (at.bucket, at.key) if at else ("", uri)


def metadata_folder(uri: str) -> tuple[str, str]:
    """(bucket, key without a slash at its end) of the folder of a metadata file; s3:// and s3a:// are equal."""
    bucket, key = _place(uri)
    return bucket, key.rpartition("/")[0]


def _guess(table: PlannedTable) -> tuple[str, str]:
    """(namespace, name) as the table's folder has them: ``…/sales.db/orders/metadata``, ``…/sales/orders-<uuid>``."""
    bucket, folder = metadata_folder(table.new_metadata or "")
    parts = [part for part in folder.removesuffix("/metadata").split("/") if part]
    name = _SUFFIX.sub("", parts[-1]) if parts else bucket
    namespace = parts[-2].removesuffix(".db") if len(parts) > 1 else ""
    return namespace, table.name or name
