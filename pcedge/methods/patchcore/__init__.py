"""PatchCore: the distance of every patch from the nearest in a memory bank of good ones.

Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler: "Towards Total Recall in Industrial Anomaly Detection", 2022,
arXiv 2106.08265. How it is fitted is in ``pcedge.fitting``, how it judges in ``pcedge.inspection``.
"""

from .method import METHOD, PatchCore

__all__ = ["METHOD", "PatchCore"]
