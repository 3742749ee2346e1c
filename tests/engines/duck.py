"""DuckDB as a reader of Iceberg tables on a test server, its extensions from PyPI packages."""

from __future__ import annotations

from pathlib import Path

import duckdb
import duckdb_extension_avro
import duckdb_extension_httpfs
import duckdb_extension_iceberg

from engines.spark import Rows, as_rows
from migrator.demo.server import Server

_PACKAGES = (duckdb_extension_httpfs, duckdb_extension_avro, duckdb_extension_iceberg)


def connect(server: Server) -> duckdb.DuckDBPyConnection:
    """A connection that reads from the server. Nothing is downloaded."""
    # With its cache of file ranges DuckDB confuses two deletion vectors of a Puffin file: when two snapshots were read
    # one after the other, the second result had a deleted row, and lacked a row that was not deleted.
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "enable_external_file_cache": "false"})
    for package in _PACKAGES:
        (extension,) = Path(package.__file__ or "").parent.rglob("*.duckdb_extension")
        db.load_extension(str(extension))
    keys = server.properties()
    db.execute(
        "CREATE SECRET (TYPE s3, KEY_ID ?, SECRET ?, ENDPOINT ?, USE_SSL false, URL_STYLE 'path', REGION 'us-east-1')",
        [keys["s3.access-key-id"], keys["s3.secret-access-key"], server.endpoint_url.partition("://")[2]],
    )
    return db


def scan(db: duckdb.DuckDBPyConnection, metadata: str, snapshot: int | None) -> Rows:
    """The rows of one snapshot, or of the current one. Raises duckdb.Error for what DuckDB cannot read."""
    options = "" if snapshot is None else f", snapshot_from_id = {snapshot}"
    if ".gz." in metadata:
        options += ", metadata_compression_codec = 'gzip'"
    found = db.execute(f"SELECT * FROM iceberg_scan(?{options})", [metadata])
    names = [column[0] for column in found.description or ()]
    return as_rows(dict(zip(names, row, strict=True)) for row in found.fetchall())
