"""The metrics of an evaluation, as a run records them."""

from dataclasses import fields

from pcedge.evaluation.evaluate import Evaluation
from pcedge.evaluation.metrics import Metric
from pcedge.evaluation.runs import RecordedMetric


def metrics_of(evaluation: Evaluation) -> dict[str, RecordedMetric]:
    """By the names of ``pcedge.evaluation.runs.METRICS``; what is not defined says why."""
    found = evaluation.metrics
    return {field.name: _recorded(getattr(found, field.name)) for field in fields(found)}


def _recorded(metric: Metric) -> RecordedMetric:
    interval = None if metric.low is None or metric.high is None else (metric.low, metric.high)
    return RecordedMetric(
        value=metric.value, interval=interval, reason=metric.reason, threshold=metric.threshold
    )
