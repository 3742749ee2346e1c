"""The swap of the catalogs' pointers, and what is checked right before it."""
