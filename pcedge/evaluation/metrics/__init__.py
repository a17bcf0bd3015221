"""Metrics of anomaly detection: exact, ties included, with intervals, and with a reason where undefined.

from pcedge.evaluation.metrics import PixelMetrics, image_metrics, rate

print(image_metrics(good_scores, defect_scores).auroc)  # 0.9876 (0.9712 to 0.9961)
"""

from .images import ImageMetrics, image_metrics
from .metric import CONFIDENCE, Metric
from .pixels import AUPRO_LIMIT, PixelMetrics, PixelResult, pixel_metrics
from .rates import rate

__all__ = [
    "AUPRO_LIMIT",
    "CONFIDENCE",
    "ImageMetrics",
    "Metric",
    "PixelMetrics",
    "PixelResult",
    "image_metrics",
    "pixel_metrics",
    "rate",
]
