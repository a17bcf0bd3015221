"""Events: the record of an inspected frame, its key, and running counts."""
