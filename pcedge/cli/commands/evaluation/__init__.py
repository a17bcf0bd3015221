"""Commands that evaluate, compare, explain and report."""
