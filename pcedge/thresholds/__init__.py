"""Thresholds from good images alone at a stated false-reject rate, and verdicts."""
