"""PaDiM: a Gaussian model of the features at every position of the image.

Defard, Setkov, Loesch, Audigier: "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and
Localization", 2021, arXiv 2011.08785.
"""

from .method import METHOD, Padim, PadimSettings

__all__ = ["METHOD", "Padim", "PadimSettings"]
