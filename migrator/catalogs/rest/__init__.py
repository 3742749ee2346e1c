"""Iceberg REST catalogs, Nessie among them. ``catalog`` has the class that the rest of migrator uses; ``ways`` and
``nessie`` have the ways to change pointers, and ``trial`` tests which of them the server supports."""

from migrator.catalogs.rest.catalog import RestCatalog

__all__ = ["RestCatalog"]
