"""Why each finding matters and what to do about it, for ``migrator explain``. Pure data.

:data:`migrator.findings.CODES` has the meaning of each code in one line. A test checks that each code has an
explanation.
"""

from __future__ import annotations

from migrator.findings.check_explanations import OF_CHECK
from migrator.findings.explanation import Explanation

_FALSE_RULE = '[layout]\n"s3://bronze/that/folder/" = false'
_TWO_RULES = '[layout]\n"s3://bronze/orders/" = "bronze/orders/"\n"s3://silver/orders/" = "silver/orders/"'

EXPLANATIONS: dict[str, Explanation] = {
    "archived-object": Explanation(
        "Objects in GLACIER or DEEP_ARCHIVE cannot be read until they are restored, so they cannot be copied. Restored "
        "objects are copied.",
        "Restore them and plan again, or leave their folder where it is with a rule = false.",
        "aws s3api restore-object --bucket logs --key 2019/app.log --restore-request Days=7\n\n" + _FALSE_RULE,
    ),
    "customer-key": Explanation(
        "The object is encrypted with a customer-provided key (SSE-C), which the server does not store. Without this "
        "key nobody can read or copy the object.",
        "Copy it with a tool that has the key, and leave its folder out of the migration with a rule = false.",
        _FALSE_RULE,
    ),
    "attributes-dropped": Explanation(
        "Planning writes small objects with all kinds of attributes to the target, reads them, and removes them. What "
        "the server of the target has not returned unchanged, copies of objects with such an attribute lack, too. The "
        "finding is about a sample of each bucket's objects. The report of migrate says how many copies lack an "
        "attribute, with an example.",
        "Nothing can be done on this server. If the attribute matters, move to another server, or store it elsewhere.",
    ),
    "object-acls": Explanation(
        "Some objects have an access control list (ACL) that grants access to others than their owner. A copy is "
        "private, so the others could not read it. migrator reads the ACLs of a sample of each bucket's objects.",
        "Grant what is needed at the target with a bucket policy, then accept the finding.",
        '[plan]\naccept = ["object-acls"]',
    ),
    "object-lock": Explanation(
        "Object lock is enabled in the bucket. Objects there may be under retention or legal hold, which S3 does not "
        "copy: the copies could be deleted. migrator checks a sample of the bucket's objects.",
        "Use --object-lock to copy retention and legal hold; the target bucket must have object lock enabled. If the "
        "copies need neither, accept the finding.",
        'migrator plan --object-lock …\n\n[plan]\naccept = ["object-lock"]',
    ),
    "restored-object": Explanation(
        "The object was restored from an archive. It can be copied until the restored copy expires. A copy in the "
        "archive class could not be read, so the copy gets the default class.",
        "To archive it again, give the target bucket a lifecycle rule.",
    ),
    "server-tier": Explanation(
        "When MinIO moves an object to a tier, it shows the name of the tier as the storage class of the object. A "
        "request cannot set this class, so the copy gets the default class.",
        "To move copies to a tier, give the target bucket a lifecycle rule.",
    ),
    "checkpoint-incomplete": Explanation(
        "A checkpoint of Spark has the file metadata with the id of the stream, a file in offsets/ for each batch that "
        "was begun, and one in commits/ for each that was completed. Their numbers follow one another; only the newest "
        "batch may be without a commit. This checkpoint lacks a file. At the target its stream could start anew, or "
        "write a batch twice, without an error.",
        "Restore the file, or let the stream run once more, and plan again. If the stream never runs again, accept the "
        "finding, or leave the checkpoint out with a rule = false.",
        '[plan]\naccept = ["checkpoint-incomplete"]',
    ),
    "migrated-stream": Explanation(
        "At the target there are newer batches of this stream than in the old bucket, with the same stream id: an "
        "earlier plan moved the stream, and it goes on there. What the stream has removed there since does not come "
        "back.",
        "Nothing. If the stream should not have run at the target yet, stop it, and look at its checkpoint there.",
    ),
    "delta-log": Explanation(
        "The log of a Delta table holds absolute paths to files in the old buckets, for example of a shallow clone. At "
        "the target the log would still point to the old buckets. migrator reads the newest checkpoint and the newest "
        "64 files of each log. Logs with relative paths only are copied as they are, without a finding.",
        "Rewrite the table in the old place with relative paths (a deep clone), or leave it out. If you accept the "
        "finding, the table is copied as it is, and reads the old buckets until you correct its log.",
        '[plan]\naccept = ["delta-log"]',
    ),
    "encrypted-table": Explanation(
        "The table has Iceberg encryption keys. Its encrypted files contain old paths, and migrator cannot rewrite "
        "encrypted files.",
        "Leave the table out with a rule = false, and move it with an engine that has the keys.",
        _FALSE_RULE,
    ),
    "file-and-directory": Explanation(
        "At the target one key would be both an object and a folder of other objects (a and a/b). S3 allows that. Many "
        "other servers and all Hadoop file systems do not, and lose one of the two.",
        "Give one of the two sources a rule of its own, so that it goes to another place.",
        _TWO_RULES,
    ),
    "file-source-log": Explanation(
        "A Spark stream that reads files stores the absolute paths of the files that it has read, and when each of "
        "them was written, in sources/N/ of its checkpoint. migrator rewrites the paths, and the times to those of the "
        "copies, so that the stream reads no file again. The finding is then for information only. It blocks the "
        "plan if the log has another version than v1, or names a place in the old buckets that no rule covers.",
        "If it blocks: add a rule for the place that is named, or leave the checkpoint where it is with a rule = "
        "false. If the stream never runs again, accept the finding; the log is then copied as it is.",
        '[plan]\naccept = ["file-source-log"]',
    ),
    "flink-checkpoint": Explanation(
        "The _metadata file of a Flink checkpoint, and of some savepoints, names the files of its state by absolute "
        "paths. Flink would look for these files in the old bucket. Savepoints with relative paths are copied as they "
        "are, without a finding.",
        "After the migration, stop the job with a new savepoint at the target, and start it from that savepoint. If "
        "the checkpoint is no longer needed, accept the finding, or leave it out with a rule = false.",
        '[plan]\naccept = ["flink-checkpoint"]',
    ),
    "half-moved": Explanation(
        "The table refers to files in an old bucket and in the target: a writer used old paths after an earlier move, "
        "or only a part of the table was moved. Deleting the old buckets would break the table.",
        "Stop the writer that uses old paths, and rewrite what it wrote, in the place where the table's metadata is.",
        "CALL cat.system.rewrite_data_files(table => 'db.t')\nCALL cat.system.rewrite_manifests(table => 'db.t')",
    ),
    "hudi-log": Explanation(
        "A Hudi table has relative paths, except if it was created by bootstrap: then hoodie.properties and the "
        "bootstrap index name the place of the original files. At the target it would still read the old bucket. "
        "Paths that are only in the timeline are history; for them the finding is a warning.",
        "Rewrite the table without bootstrap, or accept the finding and set hoodie.bootstrap.base.path at the target.",
        '[plan]\naccept = ["hudi-log"]',
    ),
    "paimon-schema": Explanation(
        "A Paimon table has relative paths, except for data files outside of it: the option data-file.external-paths "
        "in its schemas names their place, and its manifests hold their absolute paths. At the target it would still "
        "read the old bucket.",
        "Remove the option and compact the table, so that its files lie in its folder. Or leave its folder with a rule "
        "= false, or accept the finding and keep the place that it names.",
        '[plan]\naccept = ["paimon-schema"]',
    ),
    "key-collision": Explanation(
        "Two old objects would get the same key in the target. One would overwrite the other.",
        "Give one of the sources a rule of its own with another target prefix, or a rule = false.",
        _TWO_RULES,
    ),
    "key-too-long": Explanation(
        "An S3 key may have at most 1,024 bytes. With the prefix of the target, this one would be longer.",
        "Choose a shorter target prefix for its rule.",
        '[layout]\n"s3://a-bucket-with-a-long-name/" = "a/"',
    ),
    "local-folder": Explanation(
        "[layout] names a folder of this machine, such as file:///tmp/checkpoints/, whose files are uploaded. The "
        "folder does not exist here, is empty, or cannot be read. Without its checkpoint a stream would start anew, "
        "without an error.",
        "Run migrator on the machine that has the folder, as a user who may read it, or remove the rule.",
        '[layout]\n"file:///tmp/checkpoints/" = "checkpoints/"',
    ),
    "local-files": Explanation(
        "[layout] names a folder of this machine. Its files are uploaded, and the paths in the logs of streams among "
        "them are rewritten. The files stay where they are; retire does not delete them.",
        "Stop the streams that use the folder before the cutover. Remove it yourself when it is no longer needed.",
    ),
    "location-too-long": Explanation(
        "SQL catalogs store a metadata location in a column of 1,000 characters. PostgreSQL rejects a longer one. "
        "SQLite accepts it, but other tools may cut it off.",
        "Choose a shorter target prefix for the table's rule.",
        '[layout]\n"s3://warehouse/" = "wh/"',
    ),
    "mixed-schemes": Explanation(
        "The table names one data file as s3:// in one place and as s3a:// in another. Engines compare paths as text, "
        "so position deletes for that file may not apply. The table has this fault now, and the migration keeps it.",
        "Compact the table in the old place, or accept the finding to move it as it is.",
        '[plan]\naccept = ["mixed-schemes"]',
    ),
    "missing-object": Explanation(
        "The table's metadata refers to a file that is not there. Readers of that snapshot fail today, and would "
        "fail at the target.",
        "Restore the file, or remove what refers to it: expire the snapshot, or delete the file from the table.",
        "CALL cat.system.expire_snapshots(table => 'db.t', older_than => TIMESTAMP '2026-01-01 00:00:00')",
    ),
    "sink-log": Explanation(
        "A Spark stream that writes files stores their absolute paths in _spark_metadata, and Spark reads the folder "
        "through this log. migrator rewrites the paths; the finding is then for information only. It blocks the plan "
        "if "
        "the log has another version than v1, or names a place in the old buckets that no rule covers: Spark would "
        "look for the files there.",
        "If it blocks: add a rule for the place that is named, or leave the folder where it is with a rule = false. "
        "If nobody reads the folder with Spark any more, accept the finding; the log is then copied as it is.",
        '[plan]\naccept = ["sink-log"]',
    ),
    "size-differs": Explanation(
        "The size of the file differs from the size in the table's metadata. Either its writer recorded a wrong size, "
        "or the file was damaged or replaced later. Readers may fail.",
        "Check that the table can be read. If so, accept the finding: the file and the recorded size then stay as they "
        "are.",
        '[plan]\naccept = ["size-differs"]',
    ),
    "symlink-manifest": Explanation(
        "Manifests such as those in _symlink_format_manifest/ list the files that Athena, Presto, Trino or Hive read, "
        "by absolute paths. migrator rewrites those with one path in each line; the finding is then for information "
        "only. It blocks the plan for manifests of another form: at the target they would still list the files "
        "in the old bucket, and engines would read the old files without an error.",
        "If it blocks: accept the finding and generate the manifests again at the target, or leave them out with a "
        "rule = false.",
        "GENERATE symlink_format_manifest FOR TABLE delta.`s3a://data-lake/silver/sales`",
    ),
    "target-behind": Explanation(
        "The table was migrated before, and the old table has been written to since. migrator cannot know which of the "
        "two has the right data.",
        "Stop the writer of the wrong table. To migrate the old table again, first move the table at the target away.",
    ),
    "target-differs": Explanation(
        "The target has another, newer object at the key of this object. The copy would overwrite it.",
        "Move one of the two away, or give the old one a rule of its own with another target prefix.",
        _TWO_RULES,
    ),
    "target-not-versioned": Explanation(
        "You chose to copy older versions (--all-versions), but the target bucket has no versioning: each version "
        "would replace the one before it.",
        "Enable versioning on the target bucket, or leave out --all-versions.",
        "aws s3api put-bucket-versioning --bucket data-lake --versioning-configuration Status=Enabled",
    ),
    "target-not-empty": Explanation(
        "Where the table would go, the target has metadata of another table, or newer metadata. Readers would use that "
        "metadata.",
        "Move what is there away, or give this table a rule of its own with another target prefix.",
        _TWO_RULES,
    ),
    "unmapped-path": Explanation(
        "The table refers to a path that no rule of the layout covers, so its new path is unknown. A table "
        "that kept the old path would still need the old bucket.",
        "Add a rule for that path. A rule = false leaves the objects below that path in the old bucket.",
        '[layout]\n"s3://landing/imported/" = "bronze/imported/"',
    ),
    "unreadable": Explanation(
        "A file of the table does not follow the Iceberg specification: it is truncated, damaged, or of an unknown "
        "kind. So its paths cannot be read or rewritten.",
        "Restore the file from a backup, or leave the folder out with a rule = false.",
        _FALSE_RULE,
    ),
    "collapsed-path": Explanation(
        "The path has an empty folder name (a//b). Hadoop's S3A reads // as / and finds the object. Other readers use "
        "the path literally and do not find it. The table has this fault now, and the migration keeps it.",
        "Nothing, if only Spark or Hive read the table. Otherwise write the table again with a location without //.",
    ),
    "dangling-deletes": Explanation(
        "A file of position deletes names data files under no rule. The table does not have these files any more, so "
        "the deletes delete no rows; their paths stay as they are.",
        "Nothing. Rewriting position deletes in the table removes them.",
        "CALL cat.system.rewrite_position_delete_files(table => 'db.t')",
    ),
    "empty-catalog": Explanation(
        "One SQL database can hold several catalogs, each with a name. The catalog with the name that you gave has "
        "no tables. The tables may be in a catalog with another name; they would not be cut over.",
        "Use the name that the engines use, as in spark.sql.catalog.NAME.",
        "migrator plan --catalog NAME …",
    ),
    "missing-history": Explanation(
        "An old metadata file or a statistics file of the table is missing or cannot be read. Current data does not "
        "depend on it.",
        "Nothing, unless you want to roll back to that old metadata.",
    ),
    "open-uploads": Explanation(
        "A multipart upload is open: either a writer is active now, or a writer was stopped and left parts. An upload "
        "that is not complete is not an object, and is not copied.",
        "Stop the writers before the cutover. Uploads of writers that no longer run can be aborted.",
        "aws s3api list-multipart-uploads --bucket bronze",
    ),
    "path-in-text": Explanation(
        "A property, a snapshot summary or the SQL of a view mentions an old bucket. migrator cannot know what it is "
        "used for, so it stays as it is.",
        "Check it. If something uses it as a path, change it after the cutover.",
        "ALTER TABLE db.t SET TBLPROPERTIES ('inputs' = 's3a://data-lake/bronze/in')",
    ),
    "uncatalogued-broken": Explanation(
        "No given catalog names this table, and some of its files are missing, cannot be read, or are named with two "
        "schemes. Often it is what is left of a dropped table. What can be moved is moved; the finding does not "
        "block the "
        "plan.",
        "Nothing, if the table was dropped. Else name its catalog with --catalog and plan again.",
    ),
    "uncatalogued-table": Explanation(
        "The table's files lie in an old bucket, but no given catalog names it. It is copied and rewritten; no pointer "
        "is changed. Engines that use another catalog still read the table in the old place, and cannot read it any "
        "more when the old buckets are deleted.",
        "If it has a catalog, name that with --catalog and plan again. If not, register it after the migration: "
        "migrate and verify print the commands. If it was dropped, do nothing.",
        "CALL cat.system.register_table(table => 'db.t', metadata_file => 's3://data-lake/…/00007-….metadata.json')",
    ),
    "extra-at-target": Explanation(
        "The target has objects that no old bucket has. Others wrote them there, or they were copied earlier and later "
        "deleted in the old place. In the second case readers of plain folders would see deleted data again.",
        "Check these objects. Delete those that were deleted in the old place; migrator deletes nothing.",
    ),
    "left-behind": Explanation(
        "The table is already at the target. These files are in its old folder, but not at the target. Either the "
        "table has removed them at the target since, or a writer used the old place after the cutover.",
        "Nothing, if no writer used the old place after the cutover. Else find that writer.",
    ),
    "unchecked-bucket": Explanation(
        "The server refused the request for the bucket's older versions, open uploads, object lock or access control "
        "lists. The bucket may have them.",
        'Grant what "migrator policy" prints, or check the bucket by hand.',
    ),
    "unfinished-work": Explanation(
        "Folders such as _temporary/ hold unfinished output of jobs that run now or were stopped. They are copied as "
        "they are.",
        "Stop the writers before the cutover. Remove the output of jobs that no longer run.",
    ),
    "s3-inventory": Explanation(
        "The plan was made from an S3 Inventory report, which lists the objects that the bucket had when S3 began to "
        "write the report. "
        "Only the folders of tables were listed. Objects that were written, changed or deleted since, or that the "
        "report does not cover, are not in the plan. Before a cutover the whole bucket is listed, and nothing is cut "
        "over if the plan lacks anything. The older the report is, the more is copied then.",
        "Run migrator copy twice: the second pass lists the bucket, and copies what the report lacks. Then cut over.",
        "migrator copy plans/lake.db\nmigrator copy plans/lake.db\nmigrator cutover plans/lake.db",
    ),
    "versioned-bucket": Explanation(
        "The bucket keeps older versions of its objects. Without --all-versions only the current versions are copied; "
        "the older ones are lost when the old bucket is deleted.",
        "Add --all-versions to copy them, too. Iceberg tables do not need them: they have snapshots.",
        "migrator plan --all-versions …",
    ),
    "versions-too-late": Explanation(
        "The target already has the current version of the object. S3 orders versions by the time of writing, so older "
        "versions cannot be added before it.",
        "If you need them, use an empty target bucket, and --all-versions already in the first plan.",
    ),
    "versions-unlisted": Explanation(
        "The server's listing of versions lacks objects that its plain listing has. It may lack versions of deleted "
        "objects, too, and these would not be copied.",
        "Check the server: some need to rebuild their index. Then plan again.",
    ),
    "checksum-files": Explanation(
        "Hadoop file systems store the checksum of a file in a file beside it (.name.crc). Table files are rewritten, "
        "so the old checksum would be wrong, and readers would fail. A file of that name whose size is not that of a "
        "checksum file is copied.",
        "Nothing. Readers do not need these files.",
    ),
    "bucket-settings": Explanation(
        "Policies, lifecycle rules, encryption, notifications and the like belong to a bucket, not to its objects, and "
        "are not copied. The finding names the settings that the old bucket has and the target lacks. Quotas are not "
        "checked: MinIO shows them in its admin API only (mc quota info).",
        "migrator settings shows them translated for the target, with the new prefixes, and what cannot be carried "
        "over. With --apply it sets them.",
        "migrator settings plans/lake.db",
    ),
    "settings-unread": Explanation(
        "The server refused to return some settings of the bucket, so the plan cannot name the settings that would be "
        "lost. The copies do not depend on settings of old buckets. On the target, a lifecycle rule may delete copies.",
        "Grant the actions that the finding names (migrator policy prints them; they only read), or check the settings "
        "yourself.",
        "aws s3api get-bucket-lifecycle-configuration --bucket data-lake",
    ),
    "target-expires": Explanation(
        "The target bucket has a lifecycle rule for a prefix into which objects are copied. The age of a copy counts "
        "from the time of copying. When it is old enough, the rule deletes the copy, or moves it to an archive class "
        "from which it cannot be read.",
        "Limit the rule to prefixes that the layout does not use, before anything is copied.",
        "aws s3api put-bucket-lifecycle-configuration --bucket data-lake --lifecycle-configuration file://rules.json",
    ),
    "target-not-encrypted": Explanation(
        "The old bucket has default encryption, or its objects are encrypted one by one. The target has no default "
        "encryption, or a weaker one, and its setting applies to the copies.",
        "Set default encryption on the target before anything is copied. If the copies need no encryption, nothing.",
        "aws s3api put-bucket-encryption --bucket data-lake --server-side-encryption-configuration "
        '\'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}\'',
    ),
    "left-out": Explanation(
        "A rule = false in [layout] leaves these objects where they are. They are lost when the old bucket is deleted. "
        "It is a warning if a given catalog names a table among them: its pointer stays, too.",
        "Nothing, if that is what you want. Else remove the rule.",
    ),
    "migrated-table": Explanation(
        "The catalog's pointer, or the version hint, already points to the target. The table is not copied again.",
        "Nothing.",
    ),
    "scripts-rewritten": Explanation(
        "Scripts below scripts/ contain old paths. At the target they have the new ones, where these are certain; the "
        "old scripts stay as they are. Doubtful places are not changed: the plan says how many there are.",
        "Review the places: migrator rewrite-config --config lake.toml s3://scripts/ shows the differences and the "
        "doubtful places. To copy the scripts as they are, set keep_scripts.",
        "[plan]\nkeep_scripts = true",
    ),
    "scripts-unchanged": Explanation(
        "Scripts may contain old paths. These scripts are copied as they are: they have no path that certainly "
        "changes, or keep_scripts is set. The plan says how many places are certain, and how many a person must look "
        "at.",
        "Rewrite the scripts where you keep them, and copy them to the target at the time of the cutover.",
        "migrator rewrite-config --config lake.toml scripts/ --write",
    ),
    "skipped-markers": Explanation(
        "Old Hadoop clients wrote empty objects named folder_$folder$ to mark folders. Nothing reads them any more. An "
        "object with such a name that is not empty is data, and is copied.",
        "Nothing.",
    ),
    "target-bucket-missing": Explanation(
        "The target bucket does not exist. migrate creates it, with the server's default settings.",
        "Create it yourself if it needs settings of its own, such as encryption or a policy.",
        "aws s3api create-bucket --bucket data-lake",
    ),
    "tables-overlap": Explanation(
        "The layout would put two tables into the same folder, or one inside the other. Their files would mix, and a "
        "clean-up of one table could delete files of the other.",
        "Give one of them a rule of its own with another target prefix.",
        _TWO_RULES,
    ),
    "target-ahead": Explanation(
        "The table was migrated before and has been written to at the target since. Then its pointer was set back to "
        "the old place. Migrating it again would lose what was written at the target.",
        "Set the pointer to the newest metadata at the target, or first copy the new rows into the old table.",
        "CALL cat.system.register_table(table => 'db.t', metadata_file => 's3://data-lake/…/00009-….metadata.json')",
    ),
    "entry-at-target": Explanation(
        "The tables move to another catalog, [catalogs.NAME.target], and that one has an entry of this namespace and "
        "name already. It points to something else, so it may belong to somebody else, and is not overwritten.",
        "Rename or remove that entry, without its files, if nobody needs it. Or leave the table where it is.",
        '[tables]\nleave = ["sales.orders"]',
    ),
    "old-entry-changed": Explanation(
        "The table was registered in the target catalog by an earlier migration. Since then somebody has written to it "
        "through the old catalog, too: the two have different rows now, and migrator cannot know which are wanted.",
        "Stop that writer. Copy its rows into the table at the target, then set the old entry back, or remove it "
        "without its files.",
        "CALL old.system.rollback_to_snapshot('sales.orders', 123)",
    ),
    "odd-hint": Explanation(
        "The table's version-hint.text does not name an existing version. Readers then use the highest version, and so "
        "does migrator.",
        "Nothing, if the table shows the right data. Else write the right version into the file and plan again.",
    ),
    "outside-table": Explanation(
        "The catalog has a table in a place that no rule covers, such as a local disk or another bucket. It is not "
        "moved and not changed.",
        "Nothing, if that is what you want. Else add a rule for its bucket.",
        '[layout]\n"s3://landing/" = "landing/"',
    ),
    "stray-metadata": Explanation(
        "A file has the name of an Iceberg metadata file, but is truncated or something else, and no catalog names it. "
        "Often a failed commit left it, or it belongs to another tool.",
        "Nothing. It is copied as it is.",
    ),
    "left-table": Explanation(
        "[tables] leave or --leave names the table. Its pointer and its metadata stay in the old bucket, which must "
        "then be kept.",
        "Nothing, if that is what you want.",
        '[tables]\nleave = ["db.t"]',
    ),
    "shared-files": Explanation(
        "A table that [tables] only chooses names files that a table of another wave names, too: the same files were "
        "registered twice, or the two tables share a folder. The files are copied for the table that moves, and stay "
        "for the other one, so both can be read.",
        "Nothing, or choose both tables. Until the other table has moved, retire refuses to delete the files.",
        '[tables]\nonly = ["gold.*", "silver.orders"]',
    ),
    "later-namespace": Explanation(
        "New tables of a namespace are created at its location. It changes with the wave that moves the last of the "
        "tables in the namespace. A namespace without tables changes in a plan without [tables] only.",
        "Nothing.",
    ),
    "later-wave": Explanation(
        "[tables] only chooses the tables that move in this wave, and what lies under their locations; plan --rule "
        "chooses rules of the layout. All other tables and objects stay in the old buckets.",
        "Nothing. Move them with another plan: with other patterns, and at last without [tables] only; or with the "
        "other rules.",
        '[tables]\nonly = ["silver.*"]',
    ),
    "target-unreadable": Explanation(
        "Where the table goes, the target already has metadata that cannot be read, so it is unknown which table it "
        "belongs to.",
        "Check that metadata. Move it away if nobody needs it.",
    ),
    "other-catalog": Explanation(
        "The database also holds a catalog with another name (or schema), and its tables are in the old buckets. Only "
        "the given catalogs are cut over. The other one loses its tables when the old buckets are deleted.",
        "Give that catalog, too.",
        "migrator plan --catalog iceberg --catalog NAME …",
    ),
    "other-tables": Explanation(
        "The catalog also has tables whose location is in the old buckets, but that migrator does not change: Hive "
        "tables of Parquet or CSV files, Delta tables, links to tables of other accounts, and rows of a SQL catalog "
        "whose iceberg_type is neither TABLE nor VIEW. Their files are copied like all other objects.",
        "Set their locations, and those of their partitions, to the new place at the cutover.",
        "ALTER TABLE sales.raw SET LOCATION 's3://data-lake/bronze/raw'",
    ),
    "merged-folders": Explanation(
        "Folders of two old places become one folder at the target. Readers of the whole folder then read "
        "the files of both: those directly in it, those in its partitions such as day=1/, and those below it if the "
        "other place has files directly in it.",
        "If that is not wanted, give one of them a rule of its own.",
        _TWO_RULES,
    ),
    "bucket-beside": Explanation(
        "The account has a bucket that no rule names. None of its objects is moved.",
        "Nothing, if it does not belong to the lake. Else add a rule for it.",
        '[layout]\n"s3://landing/" = "landing/"',
    ),
    "catalog-cannot-repoint": Explanation(
        "The Iceberg REST specification has no request that changes a table's pointer and that every server supports. "
        "The plan found no way that is known to work on this server, so the cutover could not be carried out.",
        "Name a namespace where migrator may try it with throw-away tables, or the database behind the server. "
        "If that finds no way, leave the tables out and register them yourself.",
        '[catalogs.lake]\ntry-namespace = "migrator_try"',
    ),
    "catalog-read-only": Explanation(
        "The catalog cannot be written to, so the cutover could not change its pointers. The finding has its answer.",
        "Use a database user, a database file or an IAM role with the right to write. The preflight tests this "
        "without a change: in a transaction that it rolls back, with a request that the service must refuse, or, in "
        "a Hive "
        "Metastore, by acquiring and releasing a lock.",
        "GRANT UPDATE ON iceberg_tables TO migrator",
    ),
    "key-refused": Explanation(
        "Some servers do not accept every key that S3 allows. They reject empty folder names (a//b), . and .., or "
        "names longer than 255 bytes. Such objects could not be copied.",
        "Leave them out with a rule = false, rename them in the old bucket, or use another server.",
        _FALSE_RULE,
    ),
    "missing-permission": Explanation(
        "The credentials lack a permission that the migration needs. Without it the migration would stop halfway.",
        "Grant the action that the finding names. migrator policy prints all that this plan needs.",
        "migrator policy plans/lake.db",
    ),
    "spanning-table": Explanation(
        "Some data files of the table move, and a rule = false leaves others in their bucket. If you accept that, the "
        "moved table keeps the old paths of the latter and reads them there. The bucket must then be kept until these "
        "files are moved, too. Only data files on the same server may stay, and no deletes or metadata. With plan "
        "--rule, the other data files lie below a rule that another plan carries out: both plans have this finding.",
        "With plan --rule, make one plan of the rules that the finding names. Else accept it, if you move the lake "
        "bucket by bucket; or move these files, too. When their bucket moves later, the plan names the table: migrator "
        "relocate then moves these files, and you register the result.",
        '[plan]\naccept = ["spanning-table"]',
    ),
    "storage-class-refused": Explanation(
        "The target's server does not support the storage class of some objects, and rejects writes with this class.",
        "Accept the finding: such objects then get the target's default class.",
        '[plan]\naccept = ["storage-class-refused"]',
    ),
    "tags-unreadable": Explanation(
        "The credentials may not read the tags of the old objects. The copies would silently lose their tags.",
        "Grant s3:GetObjectTagging on the old buckets. If the tags do not matter, accept the finding.",
        '[plan]\naccept = ["tags-unreadable"]',
    ),
    "preflight-incomplete": Explanation(
        "Something that the migration needs could not be tested while planning, so it may fail later.",
        "Read the finding: it says what was not tested, and why.",
    ),
    "unreadable-before": Explanation(
        "Before the cutover migrate counts the rows of every snapshot in the old place. A file that a table needs for "
        "this is missing or malformed there, so these rows are already lost, and cannot be compared. It is not a "
        "temporary error: migrate retries temporary errors, and stops if they persist.",
        "Repair the table in the old place and plan again. Or accept the finding to move the table as it is.",
        "migrator migrate plans/lake.db --accept unreadable-before",
    ),
    "not-compared": Explanation(
        "Before retire deletes the sources, it verifies the target again and reads the files that may still name an "
        "old place. "
        "Something could not be compared or read, so it is not known whether the old objects are needed for it.",
        "Each line says what could not be compared, and why. If it does not matter, accept it.",
        "migrator retire plans/lake.db --accept not-compared",
    ),
    "changed-at-target": Explanation(
        "Copies at the target are no longer as migrator wrote them, or are gone. Users or table maintenance may have "
        "done that, because the target is in use. But the copies may also have been lost.",
        "Check the objects that are named. If the change was intended, accept it: the originals of these objects "
        "stay in the old buckets.",
        "migrator retire plans/lake.db --accept changed-at-target",
    ),
    **OF_CHECK,
}
"""Code → explanation."""
