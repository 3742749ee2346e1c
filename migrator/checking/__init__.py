"""``migrator check``: compares the folder structure of a lake with the expected one, and finds what still names an old
place."""
