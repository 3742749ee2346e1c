"""The explanations of the findings that only ``check`` reports. Pure data."""

from __future__ import annotations

from migrator.findings.explanation import Explanation

OF_CHECK: dict[str, Explanation] = {
    "stray-folder": Explanation(
        "The lake's structure has a folder for each prefix of [layout]; without a [layout] these are warehouse/, "
        "bronze/, silver/, gold/, checkpoints/, logs/ and scripts/. Policies, lifecycle rules and people rely on them. "
        "This folder is none of these.",
        "If it is a new layer, add it to [check] layers in lake.toml. Otherwise move what is in it to where it "
        "belongs, or remove it.",
        '[check]\nlayers = ["platinum/", "archive/"]',
    ),
    "stray-object": Explanation(
        "Everything in the lake lies in a folder of its structure, so that policies and lifecycle rules by prefix "
        "apply to it. This object lies at the root of the bucket.",
        "Move it to a folder of the structure, or remove it.",
        "aws s3 mv s3://data-lake/notes.txt s3://data-lake/scripts/notes.txt",
    ),
    "misplaced-table": Explanation(
        "An Iceberg table lies in the warehouse, or in the folder of the layer that its namespace is named after. "
        "This one lies elsewhere, so what is set for a layer by prefix does not apply to it.",
        "Move the table, or create it anew in its place. If its place is right, accept the finding.",
        "migrator check --config lake.toml --accept misplaced-table",
    ),
    "not-migrated": Explanation(
        "The folder of the target is empty, and an old bucket has objects that the layout moves there. So the lake, "
        "or this part of it, has not been migrated.",
        "Plan and migrate. If the old objects are not needed, remove them or the rule.",
        "migrator plan --config lake.toml",
    ),
    "old-pointer": Explanation(
        "The catalog's entry points to a metadata file in an old bucket. Engines read and write the table there, and "
        "lose it when the bucket is deleted.",
        "Before a migration this is normal. After a migration, the entry was restored or set back, or the table was "
        "made by a program that still has the old configuration: migrate it, too.",
        "migrator plan --config lake.toml",
    ),
    "old-namespace": Explanation(
        "Engines create tables without a location below the location of their namespace. This property names an old "
        "bucket, so new tables would be made there.",
        "Set the property to the new place.",
        "ALTER NAMESPACE iceberg.gold SET LOCATION 's3a://data-lake/warehouse/gold.db'",
    ),
    "old-warehouse": Explanation(
        "Programs that use pyiceberg's configuration of this catalog make new tables in its warehouse, which is in an "
        "old bucket.",
        "Change it in .pyiceberg.yaml, or in PYICEBERG_CATALOG__…__WAREHOUSE. Change it in Spark and other engines, "
        "too, whose configuration migrator does not see.",
        "catalog:\n  iceberg:\n    warehouse: s3a://data-lake/warehouse/",
    ),
    "old-path": Explanation(
        "The table lies in the target, but one of its files names a path in an old bucket: an engine that had the old "
        "table in its cache committed after the cutover, or files were added from there. The table breaks when the "
        "old bucket is deleted.",
        "Let migrator repair the table, with the plan that moved it. Or rewrite the data files with an engine, and "
        "expire the old snapshots.",
        "migrator repair plans/lake.db",
    ),
    "old-path-in-log": Explanation(
        "Some files that are not part of Iceberg tables contain absolute paths: the checkpoint of a stream that "
        "reads files, the log "
        "of a file sink, of a Delta, Hudi or Paimon table, a symlink manifest. Their readers follow these paths to the "
        "old bucket.",
        "Let the program write its log anew at the new place, or convert the table.",
        "migrator check --config lake.toml --accept old-path-in-log",
    ),
    "old-path-in-script": Explanation(
        "A script or a file of settings in the lake names an old bucket, or a local folder of checkpoints whose "
        "contents are in the lake now. It fails when the bucket is deleted, or writes where nobody reads.",
        "Rewrite your own copy of the script, look at the difference, and upload it.",
        "migrator rewrite-config --config lake.toml s3://data-lake/scripts/\n"
        "migrator rewrite-config --config lake.toml jobs/ --write",
    ),
    "not-checked": Explanation(
        "A catalog, a table or a file could not be read. It may name an old bucket, or be broken.",
        "The finding says why. Correct that and check again.",
        "migrator check --config lake.toml",
    ),
    "doubtful-script": Explanation(
        "The script builds a path from parts, so its text does not show which bucket it names.",
        "Look at the line yourself.",
        "migrator rewrite-config --config lake.toml s3://data-lake/scripts/",
    ),
    "folder-missing": Explanation(
        "Nothing is in this folder of the structure. S3 has no empty folders: it appears with the first object.",
        "Nothing.",
    ),
    "loose-object": Explanation(
        "The warehouse has one folder for each namespace, checkpoints/ one for each stream, logs/ one for each "
        "application. This object lies next to these folders, so it belongs to none of them.",
        "Move it to the folder of its namespace, stream or application, or leave it there.",
    ),
    "no-checkpoint": Explanation(
        "A checkpoint of Spark is a folder with the file metadata and the folders offsets/ and commits/, one of Flink "
        "is a folder chk-N with the file _metadata. There is neither in this folder.",
        "Nothing, if another program stores its state there. Otherwise it may be what is left of a checkpoint: "
        "remove it.",
    ),
    "old-bucket": Explanation(
        "An old bucket still exists, and its storage costs money until somebody deletes it.",
        "When nothing names it any more, let migrator delete what is proven to be in the target.",
        "migrator retire plans/lake.db --remove-buckets",
    ),
    "new-layer": Explanation(
        "A new layer such as platinum/ or archive/ is another folder of the target. No old bucket becomes "
        "it, so it does not belong in [layout].",
        "Write its name in [check] layers. Its data go to the folder of its name, its Iceberg tables to a namespace "
        "of its name in the warehouse.",
        '[check]\nlayers = ["platinum/"]',
    ),
}
"""Code → explanation."""
