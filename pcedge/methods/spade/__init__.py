"""SPADE: nearest normal images, and pixel correspondences in a feature pyramid.

Cohen, Hoshen: "Sub-Image Anomaly Detection with Deep Pyramid Correspondences", 2020, arXiv 2005.02357.
"""

from .method import METHOD, Spade, SpadeSettings

__all__ = ["METHOD", "Spade", "SpadeSettings"]
