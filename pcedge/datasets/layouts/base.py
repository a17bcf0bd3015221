"""What a layout is, and the small steps that layouts share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcedge.camera import list_images
from pcedge.datasets.dataset import GOOD, Dataset, Sample


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
    """The images directly in a folder and in the folders below it, one for each batch of good images."""
    return images(folder) + tuple(path for batch in folders(folder) for path in images(batch))


def folders(folder: Path) -> tuple[Path, ...]:
    """The folders directly in a folder, hidden ones left out; none where there is no folder."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def kinds(test: Path, ground_truth: Path, good: str = GOOD) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Test images of ``test/<kind>`` with masks of ``ground_truth/<kind>``, and the masks that fit none.

    Args:
        test: Holds a folder for each kind.
        ground_truth: Holds a folder of masks for each kind of defect.
        good: What the folder of good images is called.
    """
    samples: list[Sample] = []
    stray: list[Path] = []
    names = {folder.name for folder in (*folders(test), *folders(ground_truth))}
    for name in sorted(names):
        found, left = paired(images(test / name), ground_truth / name, GOOD if name == good else name)
        samples += found
        stray += left
    return tuple(samples), tuple(stray)


def paired(paths: tuple[Path, ...], masks: Path, kind: str) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Images of one kind with their masks, and the masks that fit none.

    A mask is called ``<stem>_mask`` or ``<stem>``, with any image suffix, or is one of several in a folder
    ``<stem>``.
    """
    flat = {path.stem: path for path in images(masks)}
    nested = {folder.name: images(folder) for folder in folders(masks)}
    samples = []
    for path in paths:
        single = flat.get(f"{path.stem}_mask") or flat.get(path.stem)
        found = nested.get(path.stem) or ((single,) if single else ())
        samples.append(Sample(path, kind, () if kind == GOOD else found))
    stems = {path.stem for path in paths}
    stray = [path for stem, path in flat.items() if not {stem, stem.removesuffix("_mask")} & stems]
    stray += [path for stem, several in nested.items() if stem not in stems for path in several]
    return tuple(samples), tuple(stray)
