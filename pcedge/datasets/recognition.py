"""From a folder to a dataset: the layout recognised, or as named by the caller."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pcedge.camera import IMAGE_SUFFIXES
from pcedge.errors import DatasetError, OptionError

from .dataset import Dataset
from .layouts import btad, mvtec_ad, mvtec_ad2, mvtec_loco, plain, visa
from .layouts.base import Layout, folders, images, named, tree
from .left_out import find_left_out
from .names import GOOD_NAMES, TEST_NAMES, TRAIN_NAMES, is_called, plain_name

_SHOWN = 5
# In this order: MVTec AD's is part of others, and any folder of images is a plain one.
LAYOUTS: tuple[Layout, ...] = (
    visa.LAYOUT,
    mvtec_ad2.LAYOUT,
    mvtec_loco.LAYOUT,
    btad.LAYOUT,
    mvtec_ad.LAYOUT,
    plain.LAYOUT,
)


def open_dataset(root: Path, layout: str | None = None) -> Dataset:
    """Read the folder of one product.

    Args:
        root: The folder.
        layout: Name of a layout, for VisA perhaps with a split (``visa:2cls_fewshot``); None to recognise it
            by looking.

    Raises:
        DatasetError: The folder is missing, or holds nothing in that layout or in any; the text says what
            was looked for.
        OptionError: There is no such layout.
    """
    if not root.is_dir():
        raise DatasetError(
            f"There is no folder {root}.",
            "Give a folder of good images, or one in MVTec layout (train/good, test/<kind>).",
        )
    chosen, variant = _named(layout) if layout else (recognise(root), "")
    if chosen is None:
        raise DatasetError(f"{root} has no images to use.", _advice(root))
    dataset = chosen.read(root, variant)
    if not dataset.train and not dataset.test:
        raise DatasetError(
            f"{root} has no images to use in the layout {chosen.name}.", f"Expected: {chosen.expected}."
        )
    if not dataset.train and named(root, TRAIN_NAMES):
        raise DatasetError(
            f"{root} has images to learn from, but in no folder whose name says that they are good.",
            _advice(root),
        )
    return replace(dataset, left_out=find_left_out(root, dataset.used))


def recognise(root: Path) -> Layout | None:
    """The layout of one product's folder; None when it has none."""
    return next((layout for layout in LAYOUTS if layout.matches(root)), None)


def categories(root: Path) -> tuple[str, ...]:
    """Names of the products in a folder such as ``mvtec/``; none where the folder is itself one product."""
    own = recognise(root)
    if own is not None and own is not plain.LAYOUT:
        return ()
    found = {folder: recognise(folder) for folder in folders(root)}
    benchmarks = tuple(f.name for f, layout in found.items() if layout not in (None, plain.LAYOUT))
    if benchmarks or own is not None:
        return benchmarks
    return tuple(folder.name for folder in found if named(folder, GOOD_NAMES))


def _named(layout: str) -> tuple[Layout, str]:
    name, _, variant = layout.partition(":")
    for known in LAYOUTS:
        if known.name == name and (known.variants or not variant):
            return known, variant
    raise OptionError(
        f"There is no layout {layout!r}.", f"Choose one of: {', '.join(known.name for known in LAYOUTS)}."
    )


def _advice(root: Path) -> str:
    """What to do with a folder that has no layout, by what is in it."""
    inside = categories(root)
    if inside:
        return f"It holds several datasets; name one: {root / inside[0]}"
    there = dict(_places(root))
    if not there:
        return f"Expected image files ({', '.join(sorted(IMAGE_SUFFIXES))}) in it, or train/good below it."
    counted = ", ".join(f"{place} ({count})" for place, count in list(there.items())[:_SHOWN])
    more = f" and {len(there) - _SHOWN} more folders" if len(there) > _SHOWN else ""
    likely = next(iter(there))
    layout = mvtec_ad.LAYOUT if plain_name(likely.split("/")[0]) in TRAIN_NAMES | TEST_NAMES else plain.LAYOUT
    return (
        f"Images are in {counted}{more}. Say which folder has the good ones, for example with --layout "
        f"{layout.name}:{likely}, or call it train/good."
    )


def _places(root: Path) -> Iterator[tuple[str, int]]:
    """Folders of images and how many are in each; those to learn from come first, then the fullest."""
    found = [(folder, len(images(folder))) for folder in tree(root) if folder != root]
    trained = {place for train in folders(root) if is_called(train, TRAIN_NAMES) for place in tree(train)}
    for folder, count in sorted(found, key=lambda one: (one[0] not in trained, -one[1])):
        if count:
            yield folder.relative_to(root).as_posix(), count
