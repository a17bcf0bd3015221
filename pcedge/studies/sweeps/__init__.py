"""Sweeps: settings combined and measured on one dataset, to find what suits a device."""

from .grid import SweepOptions, sweep
from .measure import SweepMeasurement
from .network import SweepNetwork
from .plot import PLOT, plot_points
from .points import SWEEP_CSV, SWEEP_JSON, Point, Sweep, pareto, read_sweep, write_sweep

__all__ = [
    "PLOT",
    "SWEEP_CSV",
    "SWEEP_JSON",
    "Point",
    "Sweep",
    "SweepMeasurement",
    "SweepNetwork",
    "SweepOptions",
    "pareto",
    "plot_points",
    "read_sweep",
    "sweep",
    "write_sweep",
]
