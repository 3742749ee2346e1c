"""``migrator check``: has the lake the folder structure that it should have, and what still names an old place?"""
