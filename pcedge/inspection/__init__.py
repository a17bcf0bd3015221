"""Inspection: the detector, runtimes, verification and explanations."""
