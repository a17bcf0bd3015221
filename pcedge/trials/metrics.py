"""The metrics of an evaluation, as a run records them."""

from pcedge.evaluation import Evaluation
from pcedge.results import Metric

_NO_CLASSES = "needs good and defective images"
_NO_MASKS = "needs masks of defects"


def metrics_of(evaluation: Evaluation) -> dict[str, Metric]:
    """By the names of ``pcedge.results.METRICS``; what is not defined says why."""
    no_threshold = "" if evaluation.threshold is not None else "scores only rank images"
    stated: dict[str, tuple[float | None, str]] = {
        "image_auroc": (evaluation.image_auroc, _NO_CLASSES),
        "pixel_auroc": (evaluation.pixel_auroc, _NO_MASKS),
        "pixel_auroc_anomalous": (evaluation.pixel_auroc_anomalous, _NO_MASKS),
        "aupro": (evaluation.aupro, _NO_MASKS),
        "false_reject_rate": (evaluation.false_reject_rate, no_threshold or "needs good images"),
        "miss_rate": (evaluation.miss_rate, no_threshold or "needs defective images"),
    }
    return {
        name: Metric(value=value, reason=reason if value is None else "")
        for name, (value, reason) in stated.items()
    }
