"""A bundle made ready for where it runs: exported, indexed, benchmarked, served."""
