"""Several fits measured side by side: whole benchmarks, sweeps, plans, comparisons, reports."""
