"""Frames of any number of sources as one iterator."""
