"""How well a bundle does: metrics, runs, comparisons, plans, reports."""
