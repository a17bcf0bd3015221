"""What a layout is, and the small steps that layouts share."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pcedge.camera import is_image_name, list_images
from pcedge.datasets.dataset import GOOD, Dataset, Sample
from pcedge.datasets.names import BAD_NAMES, MASK_MARKS, MASK_NAMES, is_called, plain_name
from pcedge.errors import DatasetError


@dataclass(frozen=True)
class Layout:
    """How one dataset's folders are arranged.

    Attributes:
        name: What ``--layout`` calls it.
        expected: The files of one product, in words, as an error message shows them.
        matches: Whether a folder looks like one product in this layout.
        read: Reads such a folder. Its second argument is the variant after the colon of ``--layout``, empty
            without one.
        variants: Whether there are variants.
    """

    name: str
    expected: str
    matches: Callable[[Path], bool]
    read: Callable[[Path, str], Dataset]
    variants: bool = False


def images(folder: Path) -> tuple[Path, ...]:
    """The images directly in a folder, in natural order; none where there is no folder."""
    return tuple(list_images(folder)) if folder.is_dir() else ()


def images_in_batches(folder: Path) -> tuple[Path, ...]:
    """The images in a folder and in all folders below it, for batches of good images.

    Folders that are called like those of bad parts or of masks are left out.
    """
    aside = BAD_NAMES | MASK_NAMES
    return tuple(
        path for place in tree(folder) for path in images(place) if not _passes(place, folder, aside)
    )


def images_below(folder: Path) -> tuple[Path, ...]:
    """The images in a folder and in all folders below it."""
    return tuple(path for place in tree(folder) for path in images(place))


def tree(folder: Path) -> Iterator[Path]:
    """A folder and all folders below it, hidden ones left out; each once, whatever links lead to it."""
    real = folder.resolve()
    yield from _below(folder, {real, *real.parents})


def _below(folder: Path, known: set[Path]) -> Iterator[Path]:
    yield folder
    for inner in folders(folder):
        if (real := inner.resolve()) not in known:
            known.add(real)
            yield from _below(inner, known)


def _passes(place: Path, folder: Path, names: Collection[str]) -> bool:
    """Whether the way from a folder to a place below it leads through a folder of such a name."""
    return any(plain_name(part) in names for part in place.relative_to(folder).parts)


def folders(folder: Path) -> tuple[Path, ...]:
    """The folders directly in a folder, hidden ones left out; none where there is no folder."""
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return tuple(folder / name for name in sorted(names))


def named(folder: Path, names: Collection[str]) -> tuple[Path, ...]:
    """The folders directly in a folder that go by one of these names and hold images, in any depth."""
    return tuple(one for one in folders(folder) if is_called(one, names) and any(map(_has_images, tree(one))))


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image_name(entry.name) and entry.is_file() for entry in entries)


def only(root: Path, names: Collection[str], meaning: str) -> Path | None:
    """The one folder directly in a folder that goes by one of these names; None if there is none.

    Args:
        root: The dataset's folder.
        names: What it may be called, as ``plain_name`` has it.
        meaning: What is in it, for the error.

    Raises:
        DatasetError: There are several: which is meant is for the user to say.
    """
    found = named(root, names)
    if len(found) > 1:
        raise DatasetError(
            f"{root} has several folders of {meaning}: {', '.join(folder.name for folder in found)}.",
            "Keep one of them there, or put them together.",
        )
    return found[0] if found else None


def two_readings(root: Path, layout: str, readings: Mapping[Path, Collection[Path]]) -> DatasetError:
    """The error for a folder whose good images may be in one place or in another.

    Args:
        root: The dataset's folder.
        layout: Name of the layout.
        readings: The images by the folder that they are in.
    """
    places = {place.relative_to(root).as_posix(): len(found) for place, found in readings.items()}
    said = {name: "the folder itself" if name == "." else name for name in places}
    meant = " or ".join(f"the {count} images in {said[name]}" for name, count in places.items())
    options = " or ".join(f"--layout {layout}:{name}" for name in places)
    return DatasetError(
        f"{root} can be read in two ways: good parts are {meant}.",
        f"Choose with {options}, or move the others away.",
    )


def chosen_folder(root: Path, variant: str, layout: str) -> Path:
    """The folder of good images that ``--layout NAME:FOLDER`` names.

    Raises:
        DatasetError: It is not in the dataset's folder, or there is none.
    """
    folder = root / variant
    if ".." in Path(variant).parts or Path(variant).is_absolute() or not folder.is_dir():
        raise DatasetError(
            f"--layout {layout}:{variant} names no folder in {root}.",
            f"Name the folder of the good images as it is called there, such as {layout}:train/good.",
        )
    return folder


def kinds(
    test: Path, ground_truth: Path, good: Collection[str] = (GOOD,)
) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Test images of ``test/<kind>`` with masks of ``ground_truth/<kind>``, and the masks that fit none.

    Args:
        test: Holds a folder for each kind, perhaps with folders below it.
        ground_truth: Holds a folder of masks for each kind of defect.
        good: What the folder of good images may be called, as ``plain_name`` has it.
    """
    samples: list[Sample] = []
    stray: list[Path] = []
    tested = [folder for folder in folders(test) if folder != ground_truth]
    masks = _by_kind(tested, folders(ground_truth))
    for folder in tested:
        kind = GOOD if is_called(folder, good) else folder.name
        found, left = paired(folder, masks.pop(folder.name, None), kind)
        samples += found
        stray += left
    stray += [path for place in masks.values() for inner in tree(place) for path in images(inner)]
    return tuple(samples), tuple(stray)


def _by_kind(tested: Iterable[Path], masks: Iterable[Path]) -> dict[str, Path]:
    """Folders of masks by the name of the folder of images that they belong to, or by their own."""
    exact = {folder.name for folder in tested}
    alike = {plain_name(folder.name): folder.name for folder in tested}
    found = {place.name: place for place in masks if place.name in exact}
    for place in masks:
        found.setdefault(alike.get(plain_name(place.name), place.name), place)
    return found


def paired(
    folder: Path, masks: Path | None, kind: str, *, deep: bool = True
) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Images of one kind with their masks, and the masks that fit none.

    A mask is called like its image, or so with ``_mask`` or another of ``MASK_MARKS``, with any image suffix,
    or is one of several in a folder called like its image. It lies in the folder of masks of that kind, or in
    one below it that is called like the image's own.

    Args:
        folder: Of the images.
        masks: Of their masks; None where there are none.
        kind: What the images show.
        deep: Whether images in folders below count, too.
    """
    places = tuple(tree(folder)) if deep else (folder,)
    paths = tuple(path for place in places for path in images(place))
    if masks is None:
        return tuple(Sample(path, kind) for path in paths), ()
    there = {place.relative_to(masks): images(place) for place in tree(masks)}
    samples = tuple(
        Sample(path, kind, () if kind == GOOD else _masks_of(path, path.parent.relative_to(folder), there))
        for path in paths
    )
    stems = {path.stem for path in paths}
    stray = tuple(
        path
        for place, found in there.items()
        for path in found
        if not ({path.stem.removesuffix(mark) for mark in MASK_MARKS} | {place.name}) & stems
    )
    return samples, stray


def _masks_of(path: Path, place: Path, there: Mapping[Path, tuple[Path, ...]]) -> tuple[Path, ...]:
    """The masks of an image, from the folder that is called like its own, otherwise from that of the kind."""
    for where in dict.fromkeys((place, Path())):
        if several := there.get(where / path.stem):
            return several
        by_stem = {mask.stem: mask for mask in there.get(where, ())}
        for mark in MASK_MARKS:
            if single := by_stem.get(path.stem + mark):
                return (single,)
    return ()
