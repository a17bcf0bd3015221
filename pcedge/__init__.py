"""pcedge."""
