"""A bundle adapted to its line: thresholds found anew, good parts taught."""
