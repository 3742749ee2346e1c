"""The plan file: one SQLite database with the plan, and the journal of what has been done."""
