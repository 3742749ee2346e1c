"""The command line: parses, calls :mod:`migrator.api`, prints, ends with an exit code."""

from migrator.cli.main import main

__all__ = ["main"]
