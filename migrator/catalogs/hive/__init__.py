"""Tables in a Hive Metastore. ``catalog`` has the class that the rest of migrator uses; ``metastore`` has the requests,
which ``connection`` sends; ``lock`` takes the lock that Iceberg's own commits take, and ``stored`` reads what is
stored."""

from migrator.errors import ConfigError

try:
    from migrator.catalogs.hive.catalog import HiveCatalog
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "thrift":
        raise
    raise ConfigError(
        "The Python package thrift, which talks to Hive Metastores, is not installed.",
        next_move="pip install 'lake-migrator[hive]'",
    ) from error

__all__ = ["HiveCatalog"]
