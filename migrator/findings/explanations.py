"""What each finding means to its reader: why it matters and what to do, for ``migrator explain``. Pure data.

:data:`migrator.findings.CODES` says what a code means in one line; a test holds that each has its explanation.
"""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """Full sentences. ``example`` may have several lines: configuration or commands."""

    why: str
    what_to_do: str
    example: str = ""


_FALSE_RULE = '[layout]\n"s3://bronze/that/folder/" = false'
_TWO_RULES = '[layout]\n"s3://bronze/orders/" = "bronze/orders/"\n"s3://silver/orders/" = "silver/orders/"'

EXPLANATIONS: dict[str, Explanation] = {
    "archived-object": Explanation(
        "Objects in GLACIER or DEEP_ARCHIVE cannot be read until they are restored, so they cannot be copied. What was "
        "restored is copied.",
        "Restore them and plan again, or leave their folder where it is with a rule = false.",
        "aws s3api restore-object --bucket logs --key 2019/app.log --restore-request Days=7\n\n" + _FALSE_RULE,
    ),
    "customer-key": Explanation(
        "Whoever wrote the object sends its key with every request (SSE-C), and the server keeps none. Without that "
        "key nobody can read the object or copy it.",
        "Copy it with a tool that has the key. Leave its folder where it is with a rule = false.",
        _FALSE_RULE,
    ),
    "object-acls": Explanation(
        "Some objects grant access to others than their owner, by an access control list (ACL). A copy is private, so "
        "others could no longer read it. A sample of each bucket's objects is asked.",
        "Grant what is needed at the target with a bucket policy, then accept the finding.",
        '[plan]\naccept = ["object-acls"]',
    ),
    "object-lock": Explanation(
        "Object lock is enabled in the bucket. Objects there may be under retention or legal hold, which S3 does not "
        "copy: the copies could be deleted. A sample of the bucket's objects is asked.",
        "With --object-lock they are copied; the target bucket must have been made with object lock. If the copies "
        "need none, accept the finding.",
        'migrator plan --object-lock …\n\n[plan]\naccept = ["object-lock"]',
    ),
    "restored-object": Explanation(
        "The object was restored from an archive, and is copied as long as it is. In the archive class its copy could "
        "not be read, so it gets the default class.",
        "To archive it again, give the target bucket a lifecycle rule.",
    ),
    "server-tier": Explanation(
        "MinIO shows the name of a tier as the storage class of an object that it has moved there. No request can ask "
        "for it, so the copy gets the default class.",
        "To move copies to a tier, give the target bucket a lifecycle rule.",
    ),
    "delta-log": Explanation(
        "The log of a Delta table holds absolute paths to files in the old buckets, as shallow clones and added files "
        "have them. At the target they would still lead there. Of each log the newest checkpoint and the newest 64 "
        "files were read; logs with relative paths only are copied as they are, without a finding.",
        "Rewrite the table in the old place with relative paths (a deep clone), or leave it out. If you accept the "
        "finding, the table is copied as it is, and reads the old buckets until you mend it.",
        '[plan]\naccept = ["delta-log"]',
    ),
    "encrypted-table": Explanation(
        "The table has Iceberg encryption keys. What they protect names files by their old paths, and migrator "
        "cannot rewrite it.",
        "Leave the table out with a rule = false, and move it with an engine that has the keys.",
        _FALSE_RULE,
    ),
    "file-and-directory": Explanation(
        "In the target one key would be both an object and a folder of others (a and a/b). S3 allows that; many "
        "servers and all Hadoop file systems do not, and lose one of them.",
        "Give one of the two sources a rule of its own, so that it goes to another place.",
        _TWO_RULES,
    ),
    "file-source-log": Explanation(
        "A Spark stream that reads files keeps the absolute paths of those it has read. After the move it would read "
        "all files again, under their new paths.",
        "Let the stream start with a new checkpoint after the move, or accept the finding if it never starts again.",
        '[plan]\naccept = ["file-source-log"]',
    ),
    "flink-checkpoint": Explanation(
        "The _metadata file of a Flink checkpoint names the files of its state by absolute paths, and so may a "
        "savepoint. Flink would look for them in the old bucket. Savepoints with relative paths are copied as they "
        "are, without a finding.",
        "Stop the job with a savepoint in a place of its own after the migration, and start it from there. If the "
        "checkpoint is no longer needed, accept the finding, or leave it out with a rule = false.",
        '[plan]\naccept = ["flink-checkpoint"]',
    ),
    "half-moved": Explanation(
        "The table refers to files in both places: somebody wrote with old paths after a move, or moved part of it. "
        "Deleting the old buckets would break it.",
        "Stop the writer that uses old paths, and rewrite what it wrote, in the place where the table's metadata is.",
        "CALL cat.system.rewrite_data_files(table => 'db.t')\nCALL cat.system.rewrite_manifests(table => 'db.t')",
    ),
    "hudi-log": Explanation(
        "A Hudi table keeps relative paths, but one that was made by bootstrap names the place of its old files in "
        "hoodie.properties and in its bootstrap index. At the target it would still read the old bucket. Such paths "
        "in the timeline are history, and a warning only.",
        "Rewrite the table without bootstrap, or accept the finding and set hoodie.bootstrap.base.path at the target.",
        '[plan]\naccept = ["hudi-log"]',
    ),
    "key-collision": Explanation(
        "Two old objects would get the same key in the target. One would overwrite the other.",
        "Give one of the sources a rule of its own that leads elsewhere, or a rule = false.",
        _TWO_RULES,
    ),
    "key-too-long": Explanation(
        "S3 keys may have 1,024 bytes. With the target's prefix in front, this one is longer.",
        "Choose a shorter target prefix for its rule.",
        '[layout]\n"s3://a-bucket-with-a-long-name/" = "a/"',
    ),
    "location-too-long": Explanation(
        "SQL catalogs keep a metadata location in a column of 1,000 characters. PostgreSQL refuses a longer one; "
        "SQLite takes it, and other tools cut it.",
        "Choose a shorter target prefix for the table's rule.",
        '[layout]\n"s3://warehouse/" = "wh/"',
    ),
    "mixed-schemes": Explanation(
        "The table names one data file as s3:// in one place and as s3a:// in another. Engines compare the texts, so "
        "position deletes for that file may not apply. That is so already; a move does not change it.",
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
        "A Spark stream that writes files keeps their absolute paths in _spark_metadata, and Spark reads the folder "
        "by this log. After the move it would look for the files in the old bucket.",
        "If nobody reads the folder with Spark any more, accept the finding; else write the data to a table first.",
        '[plan]\naccept = ["sink-log"]',
    ),
    "size-differs": Explanation(
        "The file has another size than the table's metadata says. Some writers record wrong sizes; else the file was "
        "damaged or replaced. Readers may fail.",
        "Check that the table can be read. If it can, accept the finding: file and size are then moved as they are.",
        '[plan]\naccept = ["size-differs"]',
    ),
    "symlink-manifest": Explanation(
        "Manifests such as those in _symlink_format_manifest/ tell Athena, Presto, Trino or Hive by absolute paths "
        "which files to read. At the target they would still name the files in the old bucket, and engines would "
        "read those without a word.",
        "Accept the finding and generate the manifests again at the target, or leave them out with a rule = false.",
        "GENERATE symlink_format_manifest FOR TABLE delta.`s3a://data-lake/silver/sales`",
    ),
    "target-behind": Explanation(
        "The table was moved before, and the old one has been written to since. Which of the two is right, only you "
        "can tell.",
        "Stop the writer of the wrong one. To move the old one again, move the one at the target away first.",
    ),
    "target-differs": Explanation(
        "At the key where this object would go the target has another, newer object. It would be lost.",
        "Move one of the two away, or give the old one a rule of its own that leads elsewhere.",
        _TWO_RULES,
    ),
    "target-not-versioned": Explanation(
        "You asked for older versions (--all-versions), but the target bucket keeps none: each would replace the last.",
        "Enable versioning on the target bucket, or leave out --all-versions.",
        "aws s3api put-bucket-versioning --bucket data-lake --versioning-configuration Status=Enabled",
    ),
    "target-not-empty": Explanation(
        "Where the table would go, the target has metadata of another or a newer table. Readers would follow that.",
        "Move what is there away, or give this table a rule of its own that leads elsewhere.",
        _TWO_RULES,
    ),
    "unmapped-path": Explanation(
        "The table refers to a path outside all rules of the layout. It cannot be rewritten, since nobody has said "
        "where it goes; as it is, it would keep the table tied to the old place.",
        "Add a rule for that path. A rule = false leaves what is there where it is.",
        '[layout]\n"s3://landing/imported/" = "bronze/imported/"',
    ),
    "unreadable": Explanation(
        "A file of the table is not what Iceberg says it must be: truncated, damaged, or of an unknown kind. So its "
        "paths can be neither read nor rewritten.",
        "Restore the file from a backup, or leave the folder out with a rule = false.",
        _FALSE_RULE,
    ),
    "collapsed-path": Explanation(
        "The path has an empty folder name (a//b). Hadoop's S3A makes one / of it and finds the object; other readers "
        "take the path literally and do not. That is so already, and stays so.",
        "Nothing, if only Spark or Hive read the table. Else write the table again with a plain location.",
    ),
    "dangling-deletes": Explanation(
        "A file of position deletes names data files under no rule. The table does not have these files any more, so "
        "the deletes apply to nothing; their paths stay as they are.",
        "Nothing. Rewriting position deletes in the table removes them.",
        "CALL cat.system.rewrite_position_delete_files(table => 'db.t')",
    ),
    "empty-catalog": Explanation(
        "SQL catalogs keep the tables of several catalogs apart by name. Under the name that you gave there are none; "
        "the tables may be there under another, and would not be cut over.",
        "Use the name that the engines use, as in spark.sql.catalog.NAME.",
        "migrator plan --catalog NAME …",
    ),
    "missing-history": Explanation(
        "An old metadata file or a statistics file of the table is missing or cannot be read. Current data does not "
        "depend on it.",
        "Nothing, unless you want to roll back to that old metadata.",
    ),
    "open-uploads": Explanation(
        "A multipart upload is open: either a writer is at work now, or one was killed and left parts behind. What is "
        "not complete is no object, and is not moved.",
        "Stop the writers before the cutover. What is left over from earlier can be aborted.",
        "aws s3api list-multipart-uploads --bucket bronze",
    ),
    "path-in-text": Explanation(
        "A property, a snapshot summary or the SQL of a view mentions an old bucket. migrator cannot know what reads "
        "it, so it stays as it is.",
        "Look at it. If something uses it as a path, change it after the cutover.",
        "ALTER TABLE db.t SET TBLPROPERTIES ('inputs' = 's3a://data-lake/bronze/in')",
    ),
    "uncatalogued-broken": Explanation(
        "No given catalog names this table, and it lacks files or cannot be read. It is often what is left of a "
        "dropped table. It is moved as far as it goes, and blocks nothing.",
        "Nothing, if the table was dropped. Else name its catalog with --catalog and plan again.",
    ),
    "uncatalogued-table": Explanation(
        "The table's files lie in an old bucket, but no given catalog names it. It is copied and rewritten; no "
        "pointer is changed. Engines that know it from some other catalog still read the old place, and lose the "
        "table with the old buckets.",
        "If it has a catalog, name that with --catalog and plan again. If not, register it after the migration: "
        "migrate and verify print the commands. If it was dropped, nothing.",
        "CALL cat.system.register_table(table => 'db.t', metadata_file => 's3://data-lake/…/00007-….metadata.json')",
    ),
    "extra-at-target": Explanation(
        "The target has objects that no old bucket has: written there by others, or copied before and deleted in the "
        "old place since. Readers of plain folders would see deleted data again.",
        "Look at them. Delete those that were deleted in the old place; migrator deletes nothing.",
    ),
    "left-behind": Explanation(
        "The table lives at the target already. These files are still in its old folder, and the target does not have "
        "them: the table has dropped them there, or something wrote to the old place too late.",
        "If nothing wrote to the old place after the cutover, nothing. Else find that writer.",
    ),
    "unchecked-bucket": Explanation(
        "The server refused to say whether the bucket has older versions, open uploads, locked objects or access "
        "control lists. They may be there.",
        'Grant what "migrator policy" prints, or check the bucket by hand.',
    ),
    "unfinished-work": Explanation(
        "Folders such as _temporary/ hold the work of jobs that run now, or were killed. They are copied as they are.",
        "Stop the writers before the cutover. Remove what is left over from earlier.",
    ),
    "versioned-bucket": Explanation(
        "The bucket keeps older versions of its objects. Only current ones are copied unless you ask for all; the "
        "older ones are lost with the old bucket.",
        "Add --all-versions to copy them, too. For tables, Iceberg's snapshots are what counts, not these.",
        "migrator plan --all-versions …",
    ),
    "versions-too-late": Explanation(
        "The target has the current object already. S3 orders versions by the time of writing, so older ones can no "
        "longer be put before it.",
        "If you need them, use an empty target, and --all-versions from the first plan on.",
    ),
    "versions-unlisted": Explanation(
        "The server's listing of versions lacks objects that its plain listing has. It may lack versions of deleted "
        "objects, too, and these would not be copied.",
        "Check the server: some need a rebuild of their index. Then plan again.",
    ),
    "checksum-files": Explanation(
        "Hadoop file systems keep a checksum beside a file (.name.crc). Table files are rewritten, so the old "
        "checksum would be wrong, and readers would fail by it.",
        "Nothing. Readers do without.",
    ),
    "bucket-settings": Explanation(
        "Policies, lifecycle rules, encryption, notifications and the like belong to a bucket, not to its objects, and "
        "are not carried over. What the old bucket has, and the target has not, is named. A quota is not asked for: "
        "MinIO tells it by its admin API only (mc quota info).",
        "Set on the target what you need there, with the new prefixes, before the cutover.",
        "aws s3api get-bucket-lifecycle-configuration --bucket bronze",
    ),
    "settings-unread": Explanation(
        "The server refused to tell some settings of the bucket, so the plan cannot name what would be lost. Nothing "
        "that is copied depends on it. Of the target it matters more: a lifecycle rule there may delete copies.",
        "Grant the actions that the finding names (migrator policy prints them; they only read), or look yourself.",
        "aws s3api get-bucket-lifecycle-configuration --bucket data-lake",
    ),
    "target-expires": Explanation(
        "The target bucket has a lifecycle rule for a prefix into which objects are copied. A copy is new, so the rule "
        "begins to count when it is copied, and then deletes it, or moves it to an archive that cannot be read.",
        "Limit the rule to prefixes that the layout does not use, before anything is copied.",
        "aws s3api put-bucket-lifecycle-configuration --bucket data-lake --lifecycle-configuration file://rules.json",
    ),
    "target-not-encrypted": Explanation(
        "Whatever is written to the old bucket is encrypted by default. The target has no such setting, or a weaker "
        "one: the copies would be stored as the target does it.",
        "Set default encryption on the target before anything is copied. If plain copies are all right, nothing.",
        "aws s3api put-bucket-encryption --bucket data-lake --server-side-encryption-configuration "
        '\'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}\'',
    ),
    "left-out": Explanation(
        "A rule = false in [layout] says that these objects stay where they are. They are lost with the old bucket.",
        "Nothing, if that is what you want. Else remove the rule.",
    ),
    "migrated-table": Explanation(
        "The catalog's pointer, or the version hint, leads to the target already. Nothing of it is copied again.",
        "Nothing.",
    ),
    "scripts-unchanged": Explanation(
        "Scripts may have old paths in them. migrator copies them as they are, since it cannot know what they do.",
        "Search them for the old bucket names, and change them with the cutover.",
        "grep -rnE 's3a?://(bronze|silver|gold)/' scripts/",
    ),
    "skipped-markers": Explanation(
        "Old Hadoop clients wrote empty objects named folder_$folder$ to mark folders. Nothing reads them any more. An "
        "object of such a name that has bytes is data, and is copied.",
        "Nothing.",
    ),
    "target-bucket-missing": Explanation(
        "The target bucket does not exist. migrate creates it, with the server's default settings.",
        "Create it yourself if it needs settings of its own, such as encryption or a policy.",
        "aws s3api create-bucket --bucket data-lake",
    ),
    "tables-overlap": Explanation(
        "The layout would put two tables into one place, or one inside the other. Their files would mix, and cleaning "
        "up one table could delete files of the other.",
        "Give one of them a rule of its own, so that they part.",
        _TWO_RULES,
    ),
    "target-ahead": Explanation(
        "The table was moved before and has been written to at the target since; then its pointer was set back to the "
        "old place. Moving it again would lose what was written at the target.",
        "Set the pointer to the newest metadata at the target, or take those rows over into the old table first.",
        "CALL cat.system.register_table(table => 'db.t', metadata_file => 's3://data-lake/…/00009-….metadata.json')",
    ),
    "odd-hint": Explanation(
        "version-hint.text of the table is not a number of a version that is there. Readers then take the highest "
        "version, and so does migrator.",
        "Nothing, if the table reads as it should. Else write the right version into the file and plan again.",
    ),
    "outside-table": Explanation(
        "The catalog has a table in a place that no rule covers, such as a local disk or another bucket. It is neither "
        "moved nor changed.",
        "Nothing, if that is what you want. Else add a rule for its bucket.",
        '[layout]\n"s3://landing/" = "landing/"',
    ),
    "stray-metadata": Explanation(
        "A file is named like Iceberg metadata but is none, or is cut short, and no catalog names it. It is often left "
        "by a failed commit, or belongs to another tool.",
        "Nothing. It is copied as it is.",
    ),
    "left-table": Explanation(
        "[tables] leave or --leave names the table. Its pointer and its metadata stay in the old bucket, which must "
        "then be kept.",
        "Nothing, if that is what you want.",
        '[tables]\nleave = ["db.t"]',
    ),
    "target-unreadable": Explanation(
        "Where the table goes, the target has metadata that cannot be read, so nobody can tell whose it is.",
        "Look at it. Move it away if nobody needs it.",
    ),
    "other-catalog": Explanation(
        "The database holds rows of another catalog name (or schema) whose tables lie in the old buckets. Only the "
        "given catalogs are cut over; those others would lose their tables with the old buckets.",
        "Give that catalog, too.",
        "migrator plan --catalog iceberg --catalog NAME …",
    ),
    "merged-folders": Explanation(
        "Two folders of different old places become one folder at the target. Whoever reads the folder as a whole then "
        "reads the files of both.",
        "If that is not wanted, give one of them a rule of its own.",
        _TWO_RULES,
    ),
    "bucket-beside": Explanation(
        "The account has a bucket that no rule names. Nothing of it is moved.",
        "Nothing, if it does not belong to the lake. Else add a rule for it.",
        '[layout]\n"s3://landing/" = "landing/"',
    ),
    "catalog-read-only": Explanation(
        "The catalog's database refuses to be written to, so no pointer could be changed at the cutover.",
        "Use a user or a file that may write. The preflight tries it in a transaction that it rolls back.",
        "GRANT UPDATE ON iceberg_tables TO migrator",
    ),
    "key-refused": Explanation(
        "Not every server takes every key that S3 allows: some refuse empty folder names (a//b), . and .., or names "
        "longer than 255 bytes. Such objects could not be copied.",
        "Leave them out with a rule = false, rename them in the old bucket, or use another server.",
        _FALSE_RULE,
    ),
    "missing-permission": Explanation(
        "The credentials lack a right that migrating needs. Found now, it costs a minute; found at night, the night.",
        "Grant the action that the finding names. migrator policy prints all that this plan needs.",
        "migrator policy plans/lake.db",
    ),
    "storage-class-refused": Explanation(
        "The target's server does not know the storage class of some objects and refuses to store them with it.",
        "Accept the finding: such objects then get the target's default class.",
        '[plan]\naccept = ["storage-class-refused"]',
    ),
    "tags-unreadable": Explanation(
        "The tags of the old objects may not be read. Copies would lose them, and nobody would notice.",
        "Grant s3:GetObjectTagging on the old buckets. If there are none that matter, accept the finding.",
        '[plan]\naccept = ["tags-unreadable"]',
    ),
    "preflight-incomplete": Explanation(
        "Something that migrating needs could not be tried while planning, so it may fail later.",
        "Read the finding: it says what was not tried, and why.",
    ),
    "unreadable-before": Explanation(
        "Before the cutover migrate counts the rows of every snapshot in the old place. A file that a table needs for "
        "this is missing or malformed there, so these rows are lost already, and nothing can be compared. It is no "
        "fault of the moment: those are retried, and then stop the run.",
        "Mend the table in the old place and plan again. Or accept that it moves as it is.",
        "migrator migrate plans/lake.db --accept unreadable-before",
    ),
}
"""Code → explanation."""
