"""Plans, progress and verifications as text and JSON. Pure: no I/O."""
