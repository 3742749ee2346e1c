"""The command line: each command has a module that parses, calls :mod:`migrator.api`, prints, and sets the exit code.

Nothing here imports boto3 or pyiceberg before a command runs, so that ``--help`` and completion are fast.
"""

from migrator.cli.main import main

__all__ = ["main"]
