"""What the mask files of a dataset mean: decided from all of them together, stated, and doubtful ones named.

A mask may be black and white, white and black, in grey levels that are labels or a soft edge, blurred by
JPEG, kept in an alpha channel, of another size than its image, or drawn before the image was turned upright.
One file alone seldom tells; all of a set do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import RawMask, image_header, read_image, read_raw_mask
from pcedge.errors import ImageError

# More different values than these are a ramp, not labels.
_MOST_LABELS = 16
# A mask that marks more than this is more likely to mark what is good.
_MOST_MARKED = 0.5
# Of an inverted mask nearly all of the border is marked.
_MOST_BORDER = 0.8
# So much of a lossy mask may be between its two levels before it is doubted.
_MOST_BETWEEN = 0.05
# How many standard errors apart two ways to lay masks over their images are at least, to be told apart.
_CLEARLY = 2.0
_COMPARED, _GOOD = 40, 8


@dataclass(frozen=True)
class MaskReading:
    """How the masks of a dataset are read.

    Attributes:
        said: In words: what their values mean, and what is done with them.
        threshold: Values above it are defect, those up to it are not; None for grey values as a soft edge.
        inverted: Whether what they leave dark is the defect.
        alpha: Whether they are in the alpha channel.
        turned: Whether they were drawn on images as stored, before these are turned upright.
        scaled: Whether they are stretched to the size of their images.
        doubtful: Mask files that may mean something else, and why.
    """

    said: str = "black and white: what is not black is defect"
    threshold: int | None = None
    inverted: bool = False
    alpha: bool = False
    turned: bool = False
    scaled: bool = False
    doubtful: dict[Path, str] = field(default_factory=dict)

    def apply(self, mask: RawMask, image: Path, shape_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """A mask as uint8 [height, width]: 255 for defect, 0 for none, grey for a soft edge.

        Args:
            mask: As it is in the file.
            image: The image that it belongs to.
            shape_hw: The image's height and width.
        """
        levels = self.levels(mask)
        if self.turned:
            levels = upright(levels, image_header(image).orientation)
        if self.scaled and levels.shape != shape_hw:
            levels = _stretched(levels, shape_hw)
        return levels

    def levels(self, mask: RawMask) -> NDArray[np.uint8]:
        """The values of a mask by their meaning, whatever its image."""
        levels = mask.alpha if self.alpha and mask.alpha is not None else mask.levels
        if self.threshold is not None:
            levels = np.where(levels > self.threshold, np.uint8(255), np.uint8(0))
        elif levels.max() < 255:
            levels = np.where(levels > 0, np.uint8(255), np.uint8(0))
        return np.asarray(255 - levels if self.inverted else levels, np.uint8)


def decide(
    masks: Sequence[tuple[Path, Path]], good: Sequence[Path] = (), *, any_value: bool = False
) -> MaskReading:
    """How the masks of a set are to be read, from all of them that can be.

    Args:
        masks: Each image with one of its masks.
        good: Good images, which show what is seen at each place without a defect.
        any_value: Whether the dataset's makers say that every value but 0 is defect.
    """
    found = {path: mask for _, path in masks if (mask := _read(path)) is not None}
    if not found:
        return MaskReading()
    reading = _values(found, any_value=any_value)
    reading = _with_coverage(reading, found)
    return _with_places(reading, [(image, path) for image, path in masks if path in found], found, good)


def upright(levels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """What was drawn on an image as stored, turned and mirrored as the image's EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        levels = levels.T
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    return np.ascontiguousarray(levels)


def _read(path: Path) -> RawMask | None:
    try:
        return read_raw_mask(path)
    except ImageError:
        return None  # whoever needs it says so


def _values(found: dict[Path, RawMask], *, any_value: bool) -> MaskReading:
    """What the values mean."""
    if _in_alpha(found):
        said = "in the alpha channel: what is not transparent is defect"
        return MaskReading(said, threshold=127, alpha=True)
    counts = np.sum([np.bincount(mask.levels.reshape(-1), minlength=256) for mask in found.values()], axis=0)
    values = np.flatnonzero(counts)
    lossy = {path for path, mask in found.items() if mask.lossy}
    if lossy:
        return _lossy(found, int(values[-1]), lossy)
    if values[0] > 0 and len(values) > 1:
        return _without_black(found, values)
    if any_value:
        return MaskReading("labels: every value but 0 is defect", threshold=0)
    return _levels(found, values)


def _without_black(found: dict[Path, RawMask], values: NDArray[np.int64]) -> MaskReading:
    dark, bright = int(values[0]), int(values[-1])
    middle = (dark + bright) // 2
    if len(values) == 2:
        return MaskReading(f"of two levels, {dark} and {bright}: the brighter is defect", threshold=middle)
    doubtful = dict.fromkeys(found, "has no black: it may be an image with the defect drawn on it")
    said = "without black: the brighter half of the levels is taken as defect"
    return MaskReading(said, threshold=middle, doubtful=doubtful)


def _levels(found: dict[Path, RawMask], values: NDArray[np.int64]) -> MaskReading:
    """Two levels, labels, or a soft edge."""
    between = values[(values > 0) & (values < 255)]
    if not len(between) or len(values) <= 2:
        return MaskReading(threshold=0)
    labels = len(between) < _MOST_LABELS and any(_has_areas(mask.levels) for mask in found.values())
    if values[-1] < 255 or labels:
        return MaskReading(f"several labels ({_listed(values)}): every value but 0 is defect", threshold=0)
    return MaskReading("black and white with a soft edge in grey")


def _in_alpha(found: dict[Path, RawMask]) -> bool:
    """Whether all masks have an alpha channel that changes, over colours that do not."""
    return all(
        mask.alpha is not None and np.ptp(mask.alpha) > 0 and np.ptp(mask.levels) == 0
        for mask in found.values()
    )


def _lossy(found: dict[Path, RawMask], brightest: int, lossy: set[Path]) -> MaskReading:
    middle = brightest // 2
    doubtful = {}
    for path in lossy:
        levels = found[path].levels
        between = (levels > brightest // 4) & (levels < brightest - brightest // 4)
        if between.mean() > _MOST_BETWEEN:
            doubtful[path] = f"{between.mean():.0%} of it is between black and white"
    said = f"saved with loss: what is brighter than {middle}, half of the brightest, is defect"
    return MaskReading(said, threshold=middle, doubtful=doubtful)


def _has_areas(levels: NDArray[np.uint8]) -> bool:
    """Whether grey is in areas, as labels are, and not only along edges."""
    import cv2

    grey = ((levels > 0) & (levels < 255)).astype(np.uint8)
    return bool(cv2.erode(grey, np.ones((5, 5), np.uint8), borderValue=0).any())


def _listed(values: NDArray[np.int64]) -> str:
    marked = [str(value) for value in values if value]
    return ", ".join(marked[:6]) + ", ..." * (len(marked) > 6)


def _with_coverage(reading: MaskReading, found: dict[Path, RawMask]) -> MaskReading:
    """The same, inverted where most masks mark most of their images, and these to their borders."""
    marked = {path: float((reading.levels(mask) > 127).mean()) for path, mask in found.items()}
    bordered = [_border_marked(reading.levels(mask)) for mask in found.values()]
    if float(np.median(list(marked.values()))) > _MOST_MARKED and float(np.median(bordered)) > _MOST_BORDER:
        said = f"{reading.said.split(':')[0]}, inverted: what is dark is defect, the bright is most of it"
        reading = replace(reading, said=said, inverted=not reading.inverted)
        marked = {path: 1 - share for path, share in marked.items()}
    usual = float(np.median(list(marked.values())))
    doubtful = {
        path: f"marks {share:.0%} of its image; usual is {usual:.1%}"
        for path, share in marked.items()
        if share > _MOST_MARKED
    }
    return replace(reading, doubtful=reading.doubtful | doubtful)


def _border_marked(levels: NDArray[np.uint8]) -> float:
    edges = (levels[0], levels[-1], levels[:, 0], levels[:, -1])
    return float((np.concatenate(edges) > 127).mean())


def _with_places(
    reading: MaskReading,
    masks: Sequence[tuple[Path, Path]],
    found: dict[Path, RawMask],
    good: Sequence[Path],
) -> MaskReading:
    """The same, turned where they were drawn on images as stored, stretched where all have another size."""
    headers = {image: image_header(image) for image, _ in masks}
    shapes = {image: header.shape_hw for image, header in headers.items()}
    turned = [(image, path) for image, path in masks if headers[image].orientation > 1]
    if turned:
        reading = _turned(reading, turned, found, shapes, good)
    scales = set()
    for image, path in masks:
        levels, shape = found[path].levels, shapes[image]
        if reading.turned:
            levels = upright(levels, headers[image].orientation)
        if shape is not None:
            scales.add(1.0 if levels.shape == shape else _scale(levels.shape, shape))
    if len(scales) == 1 and not scales & {None, 1.0}:
        [scale] = scales
        said = f"{reading.said}; {scale:g} times the size of their images, and stretched to it"
        reading = replace(reading, said=said, scaled=True)
    return reading


def _turned(
    reading: MaskReading,
    masks: Sequence[tuple[Path, Path]],
    found: dict[Path, RawMask],
    shapes: dict[Path, tuple[int, int] | None],
    good: Sequence[Path],
) -> MaskReading:
    """Whether masks of images with an EXIF orientation were drawn before these were turned upright."""
    gains: list[float] = []
    usual: dict[tuple[int, int], NDArray[np.float32]] = {}
    for image, path in masks[:_COMPARED]:
        levels = reading.levels(found[path])
        other = upright(levels, image_header(image).orientation)
        shape = shapes[image]
        if shape is not None and levels.shape == shape == other.shape:
            if shape not in usual:
                usual[shape] = _usual(good, shape)
            seen = _noticed(image) - usual[shape]
            gains.append(_marked_above(seen, other) - _marked_above(seen, levels))
        elif shape is not None and shape in (levels.shape, other.shape):
            gains.append(1.0 if other.shape == shape else -1.0)
    if not gains:
        return reading
    error = float(np.std(gains)) / len(gains) ** 0.5
    mean = float(np.mean(gains))
    if mean > _CLEARLY * error and mean > 0:
        said = f"{reading.said}; drawn on the images as stored, and turned upright with them"
        return replace(reading, said=said, turned=True)
    if mean < -_CLEARLY * error:
        return replace(reading, said=f"{reading.said}; drawn on the images upright")
    doubt = dict.fromkeys(
        (path for _, path in masks),
        "its image has an EXIF orientation, and it fits no better turned or as it is",
    )
    return replace(reading, doubtful=reading.doubtful | doubt)


def _noticed(image: Path) -> NDArray[np.float32]:
    """How much each pixel of an image differs from its surroundings, in units of its spread."""
    import cv2

    pixels = read_image(image).astype(np.float32)
    around = cv2.GaussianBlur(pixels, (0, 0), max(pixels.shape) / 16)
    differs = np.abs(pixels - around).max(axis=2)
    return np.asarray((differs - differs.mean()) / max(float(differs.std()), 1e-6), np.float32)


def _usual(good: Sequence[Path], shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """What is noticed at each place of good images of that size; nothing where there are none."""
    alike = [path for path in good if image_header(path).shape_hw == shape_hw]
    seen = [_noticed(path) for path in alike[:_GOOD]]
    return np.asarray(np.mean(seen, axis=0) if seen else np.zeros(shape_hw), np.float32)


def _marked_above(noticed: NDArray[np.float32], levels: NDArray[np.uint8]) -> float:
    marked = levels > 127
    return float(noticed[marked].mean()) if marked.any() else 0.0


def _scale(mask_hw: tuple[int, ...], image_hw: tuple[int, int]) -> float | None:
    """How many times the size of its image a mask has; None where its sides do not agree on that."""
    high, wide = mask_hw[0] / image_hw[0], mask_hw[1] / image_hw[1]
    scale = round(high, 2)
    one_pixel = abs(mask_hw[0] - high * image_hw[0]) <= 1 and abs(mask_hw[1] - high * image_hw[1]) <= 1
    return scale if one_pixel or abs(high - wide) < 0.01 else None


def _stretched(levels: NDArray[np.uint8], shape_hw: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(levels, shape_hw[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
