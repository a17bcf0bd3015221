"""Prometheus metrics of the drift monitors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..drift.monitor import DriftMonitor
from ..drift.quantities import QUANTITIES, REJECTS
from .metrics import Reading


def drift_readings(monitors: Mapping[str, DriftMonitor]) -> list[Reading]:
    """Return drift, shift and evidence by camera name and quantity."""
    found: list[Reading] = []
    for camera, monitor in monitors.items():
        limit = math.log10(monitor.limit)
        for name, state in monitor.states.items():
            labels = {"camera": camera, "quantity": name}
            evidence = math.log10(max(state.evidence, 1e-12)) / limit
            found += [
                Reading("pcedge_drift", "1 if it has moved.", state.side is not None, labels),
                Reading(
                    "pcedge_drift_evidence",
                    "Evidence that it has moved, on a logarithmic scale; 1 when it was enough.",
                    evidence,
                    labels,
                ),
            ]
            if name != REJECTS and state.shift is not None:
                found.append(
                    Reading(
                        "pcedge_drift_shift",
                        "Of the last 50 frames from fit: a share of the value, or of the image.",
                        QUANTITIES[name].share(state.shift),
                        labels,
                    )
                )
        share = monitor.states[REJECTS].shift
        if share is not None:
            text = "NG among the last 50 judged frames."
            found.append(Reading("pcedge_ng_share", text, share, {"camera": camera}))
    return found
