"""Old paths in scripts and configuration: certain ones are replaced, doubtful ones are reported. No S3."""

from migrator.scripts.found import Change, Doubt, Names
from migrator.scripts.rewrite import Rewritten, rewrite_text

__all__ = ["Change", "Doubt", "Names", "Rewritten", "rewrite_text"]
