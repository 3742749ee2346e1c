"""Catalogs: list the tables, find each table's current metadata, and swap the pointer to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from migrator.catalogs.base import Catalog, CatalogKind, CatalogTable, NamespaceRepoint, Repoint, WarehouseReader
from migrator.errors import ConfigError

__all__ = [
    "Catalog",
    "CatalogTable",
    "NamespaceRepoint",
    "Repoint",
    "WarehouseReader",
    "open_catalog",
    "open_target",
    "properties_of",
]

_CLASSES = {
    "sql": "SqlCatalog",
    "hadoop": "HadoopCatalog",
    "rest": "RestCatalog",
    "glue": "GlueCatalog",
    "dynamodb": "DynamoDbCatalog",
    "hive": "HiveCatalog",
}
"""Type of a catalog → the class in the module of that name. A new catalog needs its file and its entry here."""

_NESTED = ("auth", "ssl")
"""The properties whose values are mappings: how to authenticate with a REST catalog, and its certificates."""

_TYPES_BY_URI = {
    "http": "rest",
    "thrift": "hive",
    "sqlite": "sql",
    "postgresql": "sql",
    "mysql": "sql",
    "mariadb": "sql",
}
"""The beginning of a URI → the type that pyiceberg infers from it; for MySQL it infers none."""


def open_catalog(name: str, properties: Mapping[str, str], reader: WarehouseReader) -> Catalog:
    """Open the catalog that pyiceberg's ``properties`` describe, without writing to it.

    Raises ConfigError if they do not describe a catalog that migrator can re-point, CatalogError if the
    catalog cannot be reached. ``reader`` is kept for Hadoop catalogs; nothing is read from it yet.
    """
    kind = _type_of(name, properties)
    if kind not in _CLASSES:
        raise ConfigError(
            f"Catalog {name!r} is of type {kind!r}, which migrator cannot re-point yet.",
            next_move="Leave it out: its tables are still rewritten, and you register them again.",
        )
    module = import_module(f"migrator.catalogs.{kind}")  # imported here, because SQLAlchemy takes long
    opened: type[CatalogKind] = getattr(module, _CLASSES[kind])
    return opened.open(name, properties, reader)


def open_target(catalog: str, given: Mapping[str, str], reader: WarehouseReader) -> Catalog:
    """Open the catalog to which the tables of ``catalog`` move, from its properties in [catalogs.NAME.target] of
    lake.toml.

    With the key ``name``, the catalog has that name, and pyiceberg's configuration of that name fills the rest; without
    it, the catalog has the name of the old one, and pyiceberg's configuration is not read. Raises as
    :func:`open_catalog`.
    """
    name = given.get("name") or catalog
    own = {key: value for key, value in given.items() if key != "name"}
    return open_catalog(name, properties_of(name, own or None) if given.get("name") else own, reader)


def properties_of(name: str, given: Mapping[str, str] | None) -> dict[str, Any]:
    """The properties of this catalog: pyiceberg's own configuration, overridden by ``given``.

    pyiceberg's is .pyiceberg.yaml and the variables PYICEBERG_CATALOG__NAME__KEY. The result may hold
    passwords. All values are texts, except those of ``auth`` and ``ssl``. Raises ConfigError if the catalog is not
    configured, or if that configuration cannot be read.
    """
    from pyiceberg.utils.config import Config  # imported here, because pyiceberg takes long

    try:
        configured = Config().get_catalog_config(name) or {}
    except Exception:
        # pyiceberg lets strictyaml's, OSError and ValueError through, and their texts quote the very
        # lines that may hold a password: so neither the message nor the cause is shown.
        raise ConfigError(
            f"pyiceberg's own configuration, consulted for catalog {name!r}, cannot be read.",
            next_move="Check .pyiceberg.yaml and the variables PYICEBERG_CATALOG__….",
        ) from None
    # pyiceberg does not accept any other nested value as a catalog property, either.
    known = {k: v for k, v in configured.items() if isinstance(v, str) or k in _NESTED} | dict(given or {})
    if not known:
        raise ConfigError(
            f"Catalog {name!r} is not configured: there is no [catalogs.{name}] in a lake.toml of this lake, no "
            f"variable PYICEBERG_CATALOG__{name.upper()}__…, and no .pyiceberg.yaml that has it; looked for in "
            f"{', '.join(_configuration_folders())}.",
            next_move="If a .pyiceberg.yaml describes it elsewhere, run the command in that folder, or set "
            f"PYICEBERG_HOME to it. Or describe it in [catalogs.{name}] of lake.toml and plan again with that.",
        )
    return known


def _configuration_folders() -> list[str]:
    """The folders in which pyiceberg looks for its .pyiceberg.yaml, in its order."""
    home = os.environ.get("PYICEBERG_HOME")
    named = f"{home} (PYICEBERG_HOME)" if home else "PYICEBERG_HOME (not set)"
    return [named, f"{Path.home()} (your home folder)", f"{Path.cwd()} (the current folder)"]


def _type_of(name: str, properties: Mapping[str, str]) -> str:
    """The catalog's type as pyiceberg determines it: given, or inferred from the URI."""
    if said := properties.get("type") or properties.get("py-catalog-impl"):
        return said.lower()
    uri = properties.get("uri", "")
    inferred = next((kind for start, kind in _TYPES_BY_URI.items() if uri.startswith(start)), None)
    if inferred is None:
        raise ConfigError(
            f"Catalog {name!r} has no type, and no uri that shows its type.",
            next_move='Set its type to "sql", "rest" or "hive" and its uri, or its type to "hadoop" and its warehouse.',
        )
    return inferred
