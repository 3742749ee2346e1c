"""Rewriting the files of a table whose paths change: metadata, manifests and position deletes."""
