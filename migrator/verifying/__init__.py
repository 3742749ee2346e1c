"""Comparing the target with the plan, and the rows of each table with those that it had before."""
