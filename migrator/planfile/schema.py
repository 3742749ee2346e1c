"""The tables of a plan file: the plan itself, which is sealed, and the journal, which grows."""

FORMAT = 9
"""The number of this format. A plan can be used by every version of migrator that has the same number."""

SCHEMA = """
CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
  id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  modified INTEGER NOT NULL, storage_class TEXT NOT NULL, target TEXT, action TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT '', table_id INTEGER, target_etag TEXT);
CREATE TABLE versions (
  id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, version_id TEXT NOT NULL,
  ordinal INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
  storage_class TEXT NOT NULL, marker INTEGER NOT NULL, target TEXT NOT NULL, action TEXT NOT NULL);
CREATE TABLE tables (
  id INTEGER PRIMARY KEY, catalog TEXT, catalog_kind TEXT, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uuid TEXT, format_version INTEGER, old_location TEXT, new_location TEXT, old_metadata TEXT NOT NULL,
  new_metadata TEXT, state TEXT NOT NULL, snapshots INTEGER, manifests INTEGER, data_files INTEGER,
  delete_files INTEGER, facts TEXT NOT NULL DEFAULT '{}', problems TEXT NOT NULL DEFAULT '[]',
  kind TEXT NOT NULL DEFAULT 'table');
CREATE TABLE namespaces (
  catalog TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL);
-- for each table that moves, where its metadata goes, and the metadata files that were there while planning
CREATE TABLE target_folders (table_id INTEGER NOT NULL, folder TEXT NOT NULL);
CREATE TABLE target_metadata (key TEXT PRIMARY KEY, etag TEXT NOT NULL) WITHOUT ROWID;
-- the parts of checkpoints that are copied after everything else, in the order of their ranks
CREATE TABLE copied_last (object_id INTEGER PRIMARY KEY, rank INTEGER NOT NULL);
CREATE TABLE findings (
  severity TEXT NOT NULL, code TEXT NOT NULL, place TEXT NOT NULL, message TEXT NOT NULL,
  next_move TEXT NOT NULL, count INTEGER NOT NULL);
-- the journal
CREATE TABLE done (
  object_id INTEGER PRIMARY KEY, size INTEGER NOT NULL, etag TEXT NOT NULL, proof TEXT NOT NULL DEFAULT '');
CREATE TABLE replaceable (object_id INTEGER PRIMARY KEY, etag TEXT NOT NULL);
CREATE TABLE versions_done (version_id INTEGER PRIMARY KEY, etag TEXT NOT NULL);
CREATE TABLE delete_files (
  object_id INTEGER PRIMARY KEY, size INTEGER NOT NULL, lower TEXT, upper TEXT);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, who TEXT NOT NULL,
  version TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN
  SELECT raise(ABORT, 'entries of the log are never changed'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN
  SELECT raise(ABORT, 'entries of the log are never removed'); END;
CREATE TABLE baselines (
  table_id INTEGER NOT NULL, snapshot_id INTEGER NOT NULL, rows INTEGER, digest TEXT, trouble TEXT,
  PRIMARY KEY (table_id, snapshot_id)) WITHOUT ROWID;
-- tables that were compared with the old ones: the old metadata file, and a digest over all files that hold paths
CREATE TABLE compared (table_id INTEGER PRIMARY KEY, metadata TEXT NOT NULL, digest TEXT NOT NULL);
"""
SEALED = ("objects", "versions", "tables", "namespaces", "target_folders", "target_metadata", "copied_last", "findings")
"""The tables whose content never changes after planning. The header is sealed, too."""
