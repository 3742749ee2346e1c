from dagster import AssetKey, asset
from dagster_aws.s3 import s3_pickle_io_manager

io = s3_pickle_io_manager.configured({"s3_bucket": "logs", "s3_prefix": "dagster"})


@asset(key=AssetKey(["bronze", "raw_events"]), metadata={"path": "s3://bronze/raw_events/"})
def raw_events(s3):
    return s3.get_object(Bucket="bronze", Key="raw_events/latest.json")


@asset(key_prefix="gold", deps=["bronze/raw_events"])
def daily_sales(fs):
    return fs.open("gold/daily_sales/latest.json")
