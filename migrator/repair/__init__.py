"""Moving to the target what writers committed with paths in the old buckets after the cutover."""
