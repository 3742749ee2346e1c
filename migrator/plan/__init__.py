"""What will be done: compares the inventory with the target, plans each table, and writes findings."""
