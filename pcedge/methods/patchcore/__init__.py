"""PatchCore: the distance of every patch to the nearest one in a memory bank of normal patches.

Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler: "Towards Total Recall in Industrial Anomaly Detection", 2022,
arXiv 2106.08265. Fitting is in ``pcedge.fitting``, inspection in ``pcedge.inspection``.
"""

from .method import METHOD, PatchCore

__all__ = ["METHOD", "PatchCore"]
