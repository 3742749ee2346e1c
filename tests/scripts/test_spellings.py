"""A table of spellings: each is either rewritten, reported or left alone."""

from __future__ import annotations

import pytest

from migrator.scripts import keys, paths, uris
from migrator.scripts.commands import BUCKET_COMMAND, DELETES, MADE_ALREADY, MIGRATES, RCLONE, UNKNOWN_ALIAS
from migrator.scripts.doubtful import BUCKET_NAME, FILE_SYSTEM, FOREIGN_URL, OTHER_FORM
from scripts.lake import rewritten

REWRITTEN = {
    # URIs: the scheme and the slash at the end stay as they are.
    "s3a://bronze": "s3a://data-lake/bronze",
    "s3a://bronze/": "s3a://data-lake/bronze/",
    "s3://silver/cleaned_events/day=1/x.parquet": "s3://data-lake/silver/cleaned_events/day=1/x.parquet",
    "s3n://gold/daily_sales": "s3n://data-lake/gold/daily_sales",
    "s3a://bronze/iceberg-warehouse/": "s3a://data-lake/warehouse/",
    "s3a://bronze/iceberg-warehouse": "s3a://data-lake/warehouse",
    "s3a://bronze/iceberg-warehouse/bronze.db/t": "s3a://data-lake/warehouse/bronze.db/t",
    "s3a://bronze/iceberg-warehouse-old/x": "s3a://data-lake/bronze/iceberg-warehouse-old/x",
    "s3a://bronze/a%20b/c": "s3a://data-lake/bronze/a%20b/c",
    # Text around them.
    "'s3a://bronze/x'": "'s3a://data-lake/bronze/x'",
    "(s3a://bronze)": "(s3a://data-lake/bronze)",
    "[here](s3a://bronze/x)": "[here](s3a://data-lake/bronze/x)",
    "read `s3a://gold/`, then": "read `s3a://data-lake/gold/`, then",
    "# was s3a://bronze/raw_events before": "# was s3a://data-lake/bronze/raw_events before",
    "s3a://bronze/a,s3a://silver/b": "s3a://data-lake/bronze/a,s3a://data-lake/silver/b",
    "cp=s3a://scripts/a.jar:s3a://scripts/b.jar": "cp=s3a://data-lake/scripts/a.jar:s3a://data-lake/scripts/b.jar",
    "${ROOT:-s3a://bronze}": "${ROOT:-s3a://data-lake/bronze}",
    '"\\ns3a://gold/x"': '"\\ns3a://data-lake/gold/x"',
    '"source": ["spark.read.load(\\"s3a://gold/x\\")\\n"]': (
        '"source": ["spark.read.load(\\"s3a://data-lake/gold/x\\")\\n"]'
    ),
    "jdbc:duckdb:s3://gold/x.db": "jdbc:duckdb:s3://data-lake/gold/x.db",
    "LOCATION 's3a://silver/t';": "LOCATION 's3a://data-lake/silver/t';",
    "<value>s3a://warehouse/</value>": "<value>s3a://data-lake/warehouse/</value>",
    # Templates that cannot change the rule.
    'f"s3a://silver/{day}/x"': 'f"s3a://data-lake/silver/{day}/x"',
    "s3a://silver/${DAY}": "s3a://data-lake/silver/${DAY}",
    "s3a://silver/$DAY": "s3a://data-lake/silver/$DAY",
    '"s3a://silver/%s/x" % day': '"s3a://data-lake/silver/%s/x" % day',
    "s3a://silver/{{ ds }}/": "s3a://data-lake/silver/{{ ds }}/",
    "s3a://silver/*/x.parquet": "s3a://data-lake/silver/*/x.parquet",
    "s3a://bronze/raw_events/{day}": "s3a://data-lake/bronze/raw_events/{day}",
    '"s3a://silver/" + day': '"s3a://data-lake/silver/" + day',
    "r's3a://silver/(.*)'": "r's3a://data-lake/silver/(.*)'",
    "s3a://bronze/iceberg-warehouse/{t}": "s3a://data-lake/warehouse/{t}",
    'S3Path("s3://silver") / "x"': 'S3Path("s3://data-lake/silver") / "x"',
    # ARNs of objects.
    '"arn:aws:s3:::silver/*"': '"arn:aws:s3:::data-lake/silver/*"',
    '"arn:aws-cn:s3:::silver/x/*"': '"arn:aws-cn:s3:::data-lake/silver/x/*"',
    '"arn:aws-us-gov:s3:::bronze/raw/x"': '"arn:aws-us-gov:s3:::data-lake/bronze/raw/x"',
    # URLs of the configured endpoint.
    "curl http://minio:9000/bronze/x.csv": "curl http://minio:9000/data-lake/bronze/x.csv",
    "http://minio:9000/logs/": "http://minio:9000/data-lake/logs/",
    "http://bronze.minio:9000/x.csv": "http://data-lake.minio:9000/bronze/x.csv",
    # Paths of mc.
    "mc ls myminio/bronze": "mc ls myminio/data-lake/bronze",
    "mc cp x.csv myminio/bronze/in/": "mc cp x.csv myminio/data-lake/bronze/in/",
    "mc rm --recursive --force myminio/bronze/tmp/": "mc rm --recursive --force myminio/data-lake/bronze/tmp/",
    "mc mb myminio/bronze": "mc mb myminio/data-lake",
    "mc mb -p myminio/bronze myminio/silver": "mc mb -p myminio/data-lake",
    "mc mb myminio/bronze;\nmc mb myminio/silver;\nexit 0": "mc mb myminio/data-lake;\nexit 0",
    "  - mc mb -p myminio/bronze\n  - mc mb -p myminio/silver\n": "  - mc mb -p myminio/data-lake\n",
    "mc mb myminio/bronze && \\\nmc mb myminio/silver && \\\nmc ls x": "mc mb myminio/data-lake && \\\nmc ls x",
    "mc mb myminio/bronze && \\\nmc mb myminio/silver\n": "mc mb myminio/data-lake\n",
    # Known keys.
    "spark.sql.catalog.local.warehouse=s3a://warehouse/": "spark.sql.catalog.local.warehouse=s3a://data-lake/warehouse/",
    "spark.sql.catalog.iceberg.warehouse bronze/iceberg-warehouse/": (
        "spark.sql.catalog.iceberg.warehouse data-lake/warehouse/"
    ),
    "spark.sql.catalog.x.table-default.write.data.path=s3a://gold/d": (
        "spark.sql.catalog.x.table-default.write.data.path=s3a://data-lake/gold/d"
    ),
    "spark.eventLog.dir  s3a://logs/spark": "spark.eventLog.dir  s3a://data-lake/logs/spark",
    "spark.hadoop.fs.s3a.bucket.bronze.endpoint=http://m": "spark.hadoop.fs.s3a.bucket.data-lake.endpoint=http://m",
    "iceberg.hive-catalog.default-warehouse-dir=s3://warehouse/": (
        "iceberg.hive-catalog.default-warehouse-dir=s3://data-lake/warehouse/"
    ),
    'external_root: "s3://gold/dbt"': 'external_root: "s3://data-lake/gold/dbt"',
    "remote_base_log_folder = s3://logs/airflow": "remote_base_log_folder = s3://data-lake/logs/airflow",
    "s3_bucket: bronze\ns3_prefix: dagster\n": "s3_bucket: data-lake\ns3_prefix: bronze/dagster\n",
    '{"s3_bucket": "logs", "s3_prefix": "dagster"}': '{"s3_bucket": "data-lake", "s3_prefix": "logs/dagster"}',
    # Local checkpoints, where it says that they are.
    '.option("checkpointLocation", "/tmp/checkpoints/bronze")': (
        '.option("checkpointLocation", "s3a://data-lake/checkpoints/bronze")'
    ),
    '.option(\n    "checkpointLocation",\n    f"/tmp/checkpoints/{name}",\n)': (
        '.option(\n    "checkpointLocation",\n    f"s3a://data-lake/checkpoints/{name}",\n)'
    ),
    '\\"checkpointLocation\\", \\"/tmp/checkpoints/bronze\\"': (
        '\\"checkpointLocation\\", \\"s3a://data-lake/checkpoints/bronze\\"'
    ),
    "--conf spark.sql.streaming.checkpointLocation=/tmp/checkpoints/": (
        "--conf spark.sql.streaming.checkpointLocation=s3a://data-lake/checkpoints/"
    ),
    "CHECKPOINT_DIR=${CHECKPOINT_DIR:-/tmp/checkpoints}": "CHECKPOINT_DIR=${CHECKPOINT_DIR:-s3a://data-lake/checkpoints}",
    "--checkpoint-dir /tmp/checkpoints/gold": "--checkpoint-dir s3a://data-lake/checkpoints/gold",
    "checkpoint_path: str = 'file:///tmp/checkpoints/gold'": "checkpoint_path: str = 's3a://data-lake/checkpoints/gold'",
    "checkpoint: /tmp/checkpoints/gold": "checkpoint: s3a://data-lake/checkpoints/gold",
    "s3a://checkpoints/bronze": "s3a://data-lake/checkpoints/bronze",
}

REPORTED = {
    # Templates, and text that a program joins.
    "s3a://{layer}/raw": (paths.TEMPLATE_BUCKET, "s3a://{layer}/raw"),
    "s3a://${BUCKET}/raw": (paths.TEMPLATE_BUCKET, "s3a://${BUCKET}/raw"),
    "s3a://$BUCKET/raw": (paths.TEMPLATE_BUCKET, "s3a://$BUCKET/raw"),
    's3a://"$BUCKET"/raw': (paths.TEMPLATE_BUCKET, "s3a://"),
    "'s3://%s/raw' % bucket": (paths.TEMPLATE_BUCKET, "s3://%s/raw"),
    "s3://<bucket>/raw": (paths.TEMPLATE_BUCKET, "s3://<bucket>/raw"),
    '"s3a://" + bucket': (paths.TEMPLATE_BUCKET, "s3a://"),
    "concat('s3a://', bucket)": (paths.TEMPLATE_BUCKET, "s3a://"),
    'root = "s3a://", bucket, "/x"': (uris.JOINED_SCHEME, "s3a://"),
    "s3a://bronze{suffix}/x": (paths.TEMPLATE_NAME, "s3a://bronze{suffix}/x"),
    "s3a://bro${x}": (paths.TEMPLATE_NAME, "s3a://bro${x}"),
    '"s3a://bronze" + suffix': (paths.TEMPLATE_NAME, "s3a://bronze"),
    'os.path.join("s3a://silver", day)': (paths.TEMPLATE_NAME, "s3a://silver"),
    "s3a://bronze/{table}": (paths.TEMPLATE_KEY, "s3a://bronze/{table}"),
    "s3a://bronze/*": (paths.TEMPLATE_KEY, "s3a://bronze/*"),
    "s3a://bronze/iceberg-{x}": (paths.TEMPLATE_KEY, "s3a://bronze/iceberg-{x}"),
    '"s3a://bronze/" + table': (paths.TEMPLATE_KEY, "s3a://bronze/"),
    "r's3a://(bronze|silver)/x'": (paths.TEMPLATE_BUCKET, "s3a://(bronze|silver"),
    "r's3a://bronze/(.*)'": (paths.TEMPLATE_KEY, "s3a://bronze/(.*"),
    "r's3a://bronze/.*'": (paths.TEMPLATE_KEY, "s3a://bronze/.*"),
    "r's3a://bronze.*'": (paths.TEMPLATE_NAME, "s3a://bronze.*"),
    '("s3a://bronze/"\n "iceberg-warehouse/x")': (paths.TEMPLATE_KEY, "s3a://bronze/"),
    # Other forms.
    "s3a://bronze%2Fraw": (paths.ESCAPED, "s3a://bronze"),
    "s3a:\\/\\/bronze\\/raw": (OTHER_FORM, "s3a:\\/\\/bronze\\/raw"),
    "s3a://bronze\\/raw": (paths.ESCAPED, "s3a://bronze"),
    "s3a%3A%2F%2Fbronze%2Fraw": (OTHER_FORM, "s3a%3A%2F%2Fbronze%2Fraw"),
    "s3a:/bronze/raw": (OTHER_FORM, "s3a:/bronze/raw"),
    "s3a:///bronze/raw": (OTHER_FORM, "s3a:///bronze/raw"),
    "S3A://bronze/raw": (uris.UPPER_CASE, "S3A://bronze/raw"),
    "s3a://AKIAKEY:secret@bronze/raw": (uris.CREDENTIALS, "s3a://***@bronze/raw"),
    "It is in s3a://bronze.": (paths.ODD_END, "s3a://bronze."),
    "s3a://bronze/iceberg-warehouse.": (paths.SPELLING, "s3a://bronze/iceberg-warehouse."),
    "s3a://bronze//iceberg-warehouse/t": (paths.SPELLING, "s3a://bronze//iceberg-warehouse/t"),
    "s3a://bronze/x/../../silver": (paths.SPELLING, "s3a://bronze/x/../../silver"),
    # ARNs of buckets.
    '"arn:aws:s3:::bronze*"': (uris.ARN_WILDCARD, "arn:aws:s3:::bronze*"),
    '"arn:aws:s3:::bronze"': (uris.BUCKET_ARN, "arn:aws:s3:::bronze"),
    '"arn:aws:s3:::bronze/*"': (paths.TEMPLATE_KEY, "arn:aws:s3:::bronze/*"),
    # URLs.
    "http://minio:9000/bronze/x?X-Amz-Signature=abc": (uris.SIGNED, "http://minio:9000/bronze/x?X-Amz-Signature=***"),
    "http://minio:9000/bronze?list-type=2": (uris.QUERY, "http://minio:9000/bronze?list-type=2"),
    "curl -X PUT http://minio:9000/bronze": (uris.BUCKET_URL, "http://minio:9000/bronze"),
    "https://bronze.s3.eu-west-1.amazonaws.com/x": (FOREIGN_URL, "https://bronze.s3.eu-west-1.amazonaws.com/x"),
    "https://s3.amazonaws.com/bronze/x": (FOREIGN_URL, "https://s3.amazonaws.com/bronze/x"),
    "http://localhost:9000/bronze/x": (FOREIGN_URL, "http://localhost:9000/bronze/x"),
    "https://minio:9000/bronze/x": (FOREIGN_URL, "https://minio:9000/bronze/x"),
    # Names of buckets.
    "s3.get_object(Bucket='bronze', Key=k)": (BUCKET_NAME, "Bucket='bronze"),
    "aws s3api head-bucket --bucket bronze": (BUCKET_NAME, "--bucket bronze"),
    "bucket: bronze": (BUCKET_NAME, "bucket: bronze"),
    '"bucket": "bronze"': (BUCKET_NAME, 'bucket": "bronze'),
    "S3_BUCKET=bronze": (BUCKET_NAME, "S3_BUCKET=bronze"),
    's3.Bucket("bronze").objects.all()': (BUCKET_NAME, 'Bucket("bronze'),
    'BUCKETS="mlflow bronze silver"': (BUCKET_NAME, 'BUCKETS="mlflow bronze'),
    "for bucket in warehouse bronze; do": (BUCKET_NAME, "bucket in warehouse"),
    "buckets:\n  - name: bronze\n": (BUCKET_NAME, "buckets: - name: bronze"),
    'client.fput_object("bronze", "x", "y")': (BUCKET_NAME, "bronze"),
    "s3_bucket: bronze\n": (BUCKET_NAME, "s3_bucket: bronze"),
    "fs.open('bronze/raw/x.csv')": (FILE_SYSTEM, "bronze/raw/x.csv"),
    "s3fs.S3FileSystem(anon=True).ls('silver')": (FILE_SYSTEM, "silver"),
    "pq.read_table('bronze/raw', filesystem=fs)": (FILE_SYSTEM, "bronze/raw"),
    # Commands.
    "mc mb minio/bronze": (UNKNOWN_ALIAS, "minio/bronze"),
    "mc mb myminio/$b": (paths.TEMPLATE_BUCKET, "myminio/$b"),
    "if ! mc mb myminio/bronze; then": (BUCKET_COMMAND, "myminio/bronze"),
    "mc version enable myminio/bronze": (BUCKET_COMMAND, "myminio/bronze"),
    "mc rb --force myminio/bronze": (BUCKET_COMMAND, "myminio/bronze"),
    "aws s3 rb s3://bronze --force": (BUCKET_COMMAND, "s3://bronze"),
    '["mc", "mb", "myminio/bronze"]': (BUCKET_COMMAND, "myminio/bronze"),
    '[\\"mc\\", \\"mb\\", \\"myminio/bronze\\"]': (BUCKET_COMMAND, "myminio/bronze"),
    '"set -e\\nmc mb myminio/bronze"': (BUCKET_COMMAND, "myminio/bronze"),
    "aws s3 rb \\\n  s3://bronze": (BUCKET_COMMAND, "s3://bronze"),
    'run(\n    "mc",\n    "rb",\n    "myminio/bronze",\n)': (BUCKET_COMMAND, "myminio/bronze"),
    "mc rm -r --force myminio/bronze": (DELETES, "myminio/bronze"),
    "aws s3 sync s3://silver/ s3://data-lake/silver/": (MIGRATES, "s3://silver/"),
    "rclone ls minio:bronze/x": (RCLONE, "minio:bronze"),
    # Settings.
    "fs.defaultFS=s3a://bronze": (uris.DEFAULT_FILE_SYSTEM, "s3a://bronze"),
    "mkdir -p /tmp/checkpoints/bronze": (keys.LOCAL_CHECKPOINTS, "/tmp/checkpoints/bronze"),
    "- checkpoints:/tmp/checkpoints": (keys.LOCAL_CHECKPOINTS, "/tmp/checkpoints"),
}

UNTOUCHED = [
    # Names of namespaces, tables, catalogs, folders and assets.
    "iceberg.bronze.raw_events",
    "SELECT * FROM iceberg.bronze.raw_events JOIN silver.users USING (id)",
    "spark.sql.catalog.bronze=org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.bronze.type=hadoop",
    "layers/bronze/ingest.py",
    "from layers.bronze import ingest",
    'AssetKey(["bronze", "raw_events"])',
    '@asset(key_prefix="bronze")',
    'deps=["bronze/raw_events"]',
    "bronze",
    'layer = "bronze"',
    "warehouse: bronze",
    "├── bronze/             # Separate bucket",
    "CREATE NAMESPACE bronze",
    "services:\n  bronze:\n    image: x",
    "open('bronze/raw.csv')",
    "cp -r bronze/ /backup/bronze",
    ".bucketBy(8, 'bronze')",
    "PARTITIONED BY (bucket(16, id))",
    # Other buckets.
    "s3a://bronze-archive/x",
    "s3a://bronze.backup/x",
    "s3a://bronze_old/x",
    "s3a://my-bronze/x",
    "s3a://Bronze/x",
    "arn:aws:s3:::bronze-archive/*",
    "arn:aws:s3:::*",
    "http://minio:9000/bronze-archive/x",
    "myminio/bronze-archive/x",
    "Bucket='bronze-archive'",
    "spark.hadoop.fs.s3a.bucket.bronze-archive.endpoint=x",
    "https://github.com/gold/silver",
    "xmyminio/bronze/x",
    "/opt/myminio/bronze",
    # The target.
    "s3a://data-lake/bronze/raw_events/",
    "s3a://data-lake/bronze/*",
    "arn:aws:s3:::data-lake",
    "http://minio:9000/data-lake/bronze/x",
    "mc mb myminio/data-lake",
    "mc ls myminio/data-lake/",
    "--conf spark.sql.catalog.local.warehouse=s3a://data-lake/warehouse/",
    # Schemes without a path, and other paths.
    'path.startswith("s3://")',
    'if scheme in ("s3://", "s3a://"):',
    "/opt/tmp/checkpoints/x",
    "/tmp/checkpoints-old",
    "http://localhost:9001",
    "http://minio:9000/?Action=x",
    "hdfs://namenode:8020/bronze/x",
]


@pytest.mark.parametrize(("old", "new"), REWRITTEN.items())
def test_what_is_certain_is_rewritten(old: str, new: str) -> None:
    done = rewritten(old)
    assert (done.text, done.doubts) == (new, ())
    assert done.changes


@pytest.mark.parametrize(("text", "reason", "shown"), [(text, *doubt) for text, doubt in REPORTED.items()])
def test_what_is_doubtful_is_reported_and_stays(text: str, reason: str, shown: str) -> None:
    done = rewritten(text)
    assert done.text == text
    assert [(doubt.reason, doubt.text) for doubt in done.doubts] == [(reason, shown)]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_names_and_other_places_are_neither_rewritten_nor_reported(text: str) -> None:
    done = rewritten(text)
    assert (done.text, done.changes, done.doubts) == (text, (), ())


def test_the_table_is_long_enough() -> None:
    assert len(REWRITTEN) + len(REPORTED) + len(UNTOUCHED) >= 100


MISSION = {
    "# Before: Multiple buckets\nmc mb myminio/warehouse\nmc mb myminio/bronze\nmc mb myminio/silver\n# ... etc\n": (
        "# Before: Multiple buckets\nmc mb myminio/data-lake\n# ... etc\n"
    ),
    "--conf spark.sql.catalog.local.warehouse=s3a://warehouse/\n"
    "--conf spark.sql.catalog.iceberg.warehouse=s3a://bronze/iceberg-warehouse/\n": (
        "--conf spark.sql.catalog.local.warehouse=s3a://data-lake/warehouse/\n"
        "--conf spark.sql.catalog.iceberg.warehouse=s3a://data-lake/warehouse/\n"
    ),
    '.option("checkpointLocation", "/tmp/checkpoints/bronze")': (
        '.option("checkpointLocation", "s3a://data-lake/checkpoints/bronze")'
    ),
    "| Warehouse   | `s3a://warehouse/` |": "| Warehouse   | `s3a://data-lake/warehouse/` |",
    "| Checkpoints | `/tmp/checkpoints/` |": "| Checkpoints | `s3a://data-lake/checkpoints/` |",
    "| Raw Events  | `iceberg.bronze.raw_events` |": "| Raw Events  | `iceberg.bronze.raw_events` |",
    "**Cleaner URLs**: `s3a://bronze/`": "**Cleaner URLs**: `s3a://data-lake/bronze/`",
}
"""The mission's tables: before and after."""


@pytest.mark.parametrize(("before", "after"), MISSION.items())
def test_the_tables_of_the_mission(before: str, after: str) -> None:
    done = rewritten(before)
    assert (done.text, done.doubts) == (after, ())


def test_a_second_run_of_bucket_commands_is_certain_only_if_it_does_not_mind_the_first() -> None:
    text = "mc mb {0}myminio/bronze\nmc mb {0}other/mlflow\nmc mb {0}myminio/silver\n"
    new = "mc mb {0}myminio/data-lake\nmc mb {0}other/mlflow\nmc mb {0}myminio/data-lake\n"
    flag = "--ignore-existing "
    assert rewritten(text.format(flag)).text == new.format(flag)
    once = rewritten(text.format(""))
    assert once.text == "mc mb myminio/data-lake\nmc mb other/mlflow\nmc mb myminio/silver\n"
    assert [(doubt.line, doubt.reason) for doubt in once.doubts] == [(3, MADE_ALREADY)]


def test_settings_of_several_buckets_become_one_only_if_they_are_the_same() -> None:
    key = "spark.hadoop.fs.s3a.bucket.{}.endpoint={}\n"
    same = key.format("bronze", "http://a") + key.format("silver", "http://a")
    assert rewritten(same).text == 2 * key.format("data-lake", "http://a")
    mapping = rewritten("".join(f'"{line.strip()}"\n'.replace("=", '" = "') for line in same.splitlines()))
    assert [doubt.reason for doubt in mapping.doubts] == 2 * [keys.TWICE] and not mapping.changes
    different = rewritten(key.format("bronze", "http://a") + key.format("silver", "http://b"))
    assert not different.changes
    assert [doubt.reason for doubt in different.doubts] == 2 * [keys.DIFFERENT_VALUES]
