"""The manifest of a baseline's bundle."""

from typing import Any

from pcedge.bundles.manifest import ProductManifest


class BaselineManifest(ProductManifest, frozen=True, kw_only=True):
    """The contents of ``manifest.json`` of methods other than PatchCore.

    ``settings`` has the method's own settings as used, which with the images determine the result.
    ``grid_hw`` is the grid of the scores behind the map.
    """

    grid_hw: tuple[int, int]
    seed: int
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
