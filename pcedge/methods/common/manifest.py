"""What the bundle of a baseline says of itself."""

from typing import Any

from pcedge.bundles.manifest import ProductManifest


class BaselineManifest(ProductManifest, frozen=True, kw_only=True):
    """The contents of ``manifest.json`` where the method is not PatchCore.

    ``settings`` is everything that decides the result beside the images: the method's own settings as they
    were used. ``grid_hw`` is the grid of scores of which the map is made.
    """

    grid_hw: tuple[int, int]
    seed: int
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
