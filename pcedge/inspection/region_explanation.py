"""Explanations of regions: the most unusual patch, the nearest normal patch, the distance ratio.

Which distance is unusual depends on the surface: normal patches of a smooth surface are alike, those of a
rough one are not. So a distance is stated as a multiple of a typical one, the median distance from the
nearest normal patch to the bank rows nearest to it (the idea of the local outlier factor, Breunig et al.
2000). It is computed from the current bank, so it needs nothing stored at fit and stays correct when rows are
added or removed.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.nominal_images import NOMINAL_FILE, KeptPictures
from pcedge.camera import Explain, Explanation, Region
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError

# Number of bank rows around the nearest one that define the typical distance.
NEIGHBOURS = 9
# Maximum number of explained regions, the highest peak first.
MOST_EXPLAINED = 5
# Side of the window shown around a patch, as a share of the network's input.
_SHOWN = 0.3


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains regions, from a bundle's bank and kept training images.

    Attributes:
        bank: The rows and the source of each.
        preprocessing: Maps a patch to its place on an image.
        grid_hw: Grid of patches.
        images: Kept training images; None for a bundle without them.
    """

    bank: Bank
    preprocessing: Preprocessing
    grid_hw: tuple[int, int]
    pictures: KeptPictures | None = None
    _typical: dict[int, float | None] = field(default_factory=dict, init=False, repr=False)

    def later(
        self,
        squared_distances: NDArray[np.float32],
        rows: NDArray[np.int64],
        regions: tuple[Region, ...],
        map_to_picture: NDArray[np.float64],
    ) -> Explain:
        """A function that explains regions when called; nothing is computed before.

        Args:
            squared_distances: float32 [patches], to the nearest bank row.
            rows: int64 [patches], the index of that row.
            regions: The image's regions, the highest peak first.
            map_to_picture: float64 [2, 3], affine map from pixel centres of the network's input to those of
                the image.
        """

        @cache
        def explain() -> tuple[Explanation, ...]:
            found = []
            for region in regions[:MOST_EXPLAINED]:
                patch = self._patch_of(region, squared_distances, map_to_picture)
                distance = float(np.sqrt(squared_distances[patch]))
                found.append(self._explain(patch, int(rows[patch]), distance, region, map_to_picture))
            return tuple(found)

        return explain

    def typical_distance(self, row: int) -> float | None:
        """The median distance from a bank row to the nearest ``NEIGHBOURS`` others.

        None if there are no others, or all are identical.
        """
        if row not in self._typical:
            around = self.bank.around(row, NEIGHBOURS + 1)
            others = np.sort(np.linalg.norm(around - around[0], axis=1))[1:]
            median = float(np.median(others)) if len(others) else 0.0
            self._typical[row] = median or None
        return self._typical[row]

    def _patch_of(
        self, region: Region, squared_distances: NDArray[np.float32], map_to_picture: NDArray[np.float64]
    ) -> int:
        """The patch of a region with the largest distance to the bank."""
        rows, columns = self.grid_hw
        left, top, width, height = region.box_xywh
        corners = _inverse(map_to_picture, np.array([[left, top], [left + width, top + height]]) - 0.5)
        per_pixel = np.array([columns, rows]) / self.preprocessing.input_size
        (x0, y0), (x1, y1) = (corners + 0.5) * per_pixel
        first = (_within(y0, rows), _within(x0, columns))
        last = (_within(y1, rows), _within(x1, columns))
        inside = np.full(self.grid_hw, -np.inf, np.float32)
        box = (slice(first[0], last[0] + 1), slice(first[1], last[1] + 1))
        inside[box] = squared_distances.reshape(self.grid_hw)[box]
        return int(inside.argmax())

    def _explain(
        self, patch: int, row: int, distance: float, region: Region, map_to_picture: NDArray[np.float64]
    ) -> Explanation:
        sources = self.bank.sources
        image = sources.images[sources.image[row]]
        here = divmod(patch, self.grid_hw[1])
        there = (int(sources.y[row]), int(sources.x[row]))
        window, normal_window = self._window(here), self._window(there)
        normal_rgb, missing = self._cut_out(image, normal_window)
        left, top, width, height = self._cell(there)
        return Explanation(
            patch_xywh=_on_picture(self._cell(here), map_to_picture),
            around_xywh=_on_picture(window, map_to_picture),
            distance=distance,
            typical_distance=self.typical_distance(row),
            image=image,
            normal_xy=_centre(_on_picture((left, top, width, height), map_to_picture)),
            normal_rgb=normal_rgb,
            normal_patch_xywh=(left - normal_window[0], top - normal_window[1], width, height),
            missing=missing,
        )

    def _cell(self, place_yx: tuple[int, int]) -> tuple[float, float, float, float]:
        """The area of a patch in the network's input: left, top, width and height in pixels."""
        height, width = (self.preprocessing.input_size / count for count in self.grid_hw)
        return place_yx[1] * width, place_yx[0] * height, width, height

    def _window(self, place_yx: tuple[int, int]) -> tuple[float, float, float, float]:
        """The window shown around a patch, moved to lie inside the image."""
        size = self.preprocessing.input_size
        side = round(_SHOWN * size)
        left, top, width, height = self._cell(place_yx)
        x, y = left + width / 2 - side / 2, top + height / 2 - side / 2
        return min(max(round(x), 0), size - side), min(max(round(y), 0), size - side), side, side

    def _cut_out(
        self, image: str, window: tuple[float, float, float, float]
    ) -> tuple[NDArray[np.uint8] | None, str]:
        if self.pictures is None:
            return None, "this bundle keeps no images of its training images"
        try:
            picture = self.pictures.read(image)
        except BundleError as error:  # a missing image must not cost the verdict
            return None, error.what
        if picture is None:
            return None, "no image of it was kept: the bundle had no room for it"
        left, top, width, height = map(int, window)
        return picture[top : top + height, left : left + width], ""


def open_pictures(bundle: Bundle) -> KeptPictures | None:
    """The training images that a bundle keeps; None if it keeps none.

    Raises:
        BundleError: The file is missing or changed.
    """
    return KeptPictures(bundle.file(NOMINAL_FILE)) if bundle.has(NOMINAL_FILE) else None


def _within(position: float, count: int) -> int:
    """The cell of a grid that contains a position, or the nearest one."""
    return min(max(int(position), 0), count - 1)


def _inverse(map_to_picture: NDArray[np.float64], points_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse map, from points of the image to points of the network's input."""
    moved: NDArray[np.float64] = (points_xy - map_to_picture[:, 2]) @ np.linalg.inv(map_to_picture[:, :2]).T
    return moved


def _on_picture(
    box_xywh: tuple[float, float, float, float], map_to_picture: NDArray[np.float64]
) -> tuple[int, int, int, int]:
    """A box of the network's input, mapped to the image by its edges."""
    left, top, width, height = box_xywh
    corners = np.array([[left, top], [left + width, top + height]]) - 0.5
    (x0, y0), (x1, y1) = corners @ map_to_picture[:, :2].T + map_to_picture[:, 2] + 0.5
    return round(x0), round(y0), max(1, round(x1 - x0)), max(1, round(y1 - y0))


def _centre(box_xywh: tuple[int, int, int, int]) -> tuple[int, int]:
    left, top, width, height = box_xywh
    return left + width // 2, top + height // 2
