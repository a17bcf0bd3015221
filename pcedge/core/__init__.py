"""Shared basics: preprocessing, scoring, atomic file writes, progress callbacks, machine information."""
