"""Thresholds from good images alone, at a stated false-reject rate, and the verdict they give."""
