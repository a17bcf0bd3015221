"""The metrics of an evaluation, as a run records them."""

from dataclasses import fields

from pcedge.evaluation import Evaluation
from pcedge.metrics import Metric as Measured
from pcedge.results import Metric


def metrics_of(evaluation: Evaluation) -> dict[str, Metric]:
    """By the names of ``pcedge.results.METRICS``; what is not defined says why."""
    found = evaluation.metrics
    return {field.name: _recorded(getattr(found, field.name)) for field in fields(found)}


def _recorded(metric: Measured) -> Metric:
    interval = None if metric.low is None or metric.high is None else (metric.low, metric.high)
    return Metric(value=metric.value, interval=interval, reason=metric.reason, threshold=metric.threshold)
