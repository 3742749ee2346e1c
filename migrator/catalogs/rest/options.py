"""The properties in lake.toml for re-pointing a REST catalog, in addition to pyiceberg's own properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import ConfigError

BACKEND, NESSIE, OVERWRITE, RENAME, DROP = "backend", "nessie", "overwrite", "rename", "drop"
WAYS = (BACKEND, NESSIE, OVERWRITE, RENAME, DROP)
"""The names of the ways to re-point, the best first."""
OWN_KEYS = ("backend", "backend-catalog-name", "try-namespace", "try-location", "repoint-by", "allow-drop")
"""The properties that are not passed to pyiceberg, which does not know them."""


@dataclass(frozen=True)
class RestOptions:
    """The properties of ``OWN_KEYS``; empty if not given."""

    name: str
    """The name of the catalog."""
    backend: str = ""
    """The URI of the database behind the server. It may contain a password."""
    backend_catalog_name: str = ""
    try_namespace: str = ""
    """The namespace for temporary tables."""
    try_location: str = ""
    """The location of that namespace; empty for the server's default."""
    repoint_by: str = ""
    """One of ``WAYS``: only this one is considered."""
    allow_drop: bool = False

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> RestOptions:
        """Raises ConfigError for an invalid value."""
        given = {key.replace("-", "_"): str(properties[key]) for key in OWN_KEYS if properties.get(key)}
        allow = given.pop("allow_drop", "false").lower()
        if allow not in ("true", "false"):
            raise ConfigError(f'[catalogs.{name}] allow-drop must be "true" or "false".')
        options = cls(name, **given, allow_drop=allow == "true")
        if options.repoint_by not in ("", *WAYS):
            raise ConfigError(f"[catalogs.{name}] repoint-by must be one of {', '.join(WAYS)}.")
        if options.repoint_by == BACKEND and not options.backend:
            raise ConfigError(f'[catalogs.{name}] repoint-by = "backend" needs the key backend.')
        if options.repoint_by == DROP and not options.allow_drop:
            raise ConfigError(f'[catalogs.{name}] repoint-by = "drop" needs allow-drop = "true".')
        if "" in options.try_namespace.split(".") and options.try_namespace:
            raise ConfigError(f"[catalogs.{name}] try-namespace has an empty level.")
        return options
