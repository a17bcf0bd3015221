"""Good images that a bundle has not seen: found, checked, and turned away where they cannot be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.files import describe_file
from pcedge.camera import FrameGate, ImageMeasures, glance
from pcedge.core.text import shown
from pcedge.datasets import LeftOut, find_left_out, images_below, read_content, spectrum
from pcedge.errors import DatasetError, ImageError
from pcedge.fitting.feature_cache import content_digest
from pcedge.thresholds.dependence import dependent

from .relearn_gate import FEWEST_FOR_GATE, NewGate, look_at_new
from .teaching import read_log


@dataclass(frozen=True, eq=False)
class NewImages:
    """Good images that may be used, and why others may not.

    Attributes:
        title: Where they are from, for people.
        paths: Name to path, in order.
        skipped: Name to reason, of those that cannot be read, that the frame gate turns away, or that are
            there twice.
        learned: Name to the name of the training image, or the taught one, that it is.
        gate: What they say of light, focus and place.
        left_out: What else is in the folders that were named, by reason.
        dependent: Images that show the same part, by groups, as their places in ``paths``.
    """

    title: str
    paths: Mapping[str, Path]
    skipped: Mapping[str, str]
    learned: Mapping[str, str]
    gate: NewGate
    left_out: tuple[LeftOut, ...] = ()
    dependent: tuple[tuple[int, ...], ...] = ()


def list_given(places: Sequence[Path]) -> list[Path]:
    """The images named, and those in folders named and in all folders below these.

    Raises:
        DatasetError: A place does not exist, or there are no images.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += images_below(place)
        elif place.is_file():
            found.append(place)
        else:
            raise DatasetError(f"There is no image and no folder {place}.", "Check the path.")
    if not found:
        raise DatasetError(
            f"There are no images in {', '.join(map(str, places))}.",
            "Name image files, or folders that hold them or folders of them.",
        )
    return list(dict.fromkeys(found))


def check_new(
    bundle: Bundle, places: Sequence[Path], learned: Mapping[str, str], *, keep_gate: bool = False
) -> NewImages:
    """Find the images and leave out what cannot be used.

    Args:
        bundle: Its frame gate is the one that watch uses.
        places: Image files, and folders of images.
        learned: Name to ``content_digest`` of the images that the bank was learned from.
        keep_gate: Leave out what that gate turns away, instead of learning it anew where there are enough.

    Raises:
        DatasetError: There are no images, or none can be used.
    """
    paths = list_given(places)
    root = Path(commonpath([path.parent.resolve() for path in paths]))
    training = {digest: name for name, digest in learned.items()}
    taught = _taught(bundle)
    seen: dict[str, str] = {}
    usable: dict[str, Path] = {}
    glances: dict[str, ImageMeasures] = {}
    looks: dict[str, NDArray[np.float32]] = {}
    skipped: dict[str, str] = {}
    known: dict[str, str] = {}
    for path in paths:
        name = shown(path.resolve().relative_to(root).as_posix())
        found, look, problem, digest = _glance(path)
        if digest in training:
            known[name] = training[digest]
        elif taught and digest and (lesson := taught.get(describe_file(path).sha256)):
            known[name] = lesson
        elif digest in seen:
            skipped[name] = f"is the same file as {seen[digest]}"
        elif found is None:
            skipped[name] = problem
        else:
            usable[name], glances[name], looks[name] = path, found, look
        if digest:
            seen.setdefault(digest, name)
    gate, unfit = look_at_new(bundle, glances, keep=keep_gate)
    fit = {name: path for name, path in usable.items() if name not in unfit}
    left_out = [one for place in places if place.is_dir() for one in find_left_out(place, paths)]
    title = shown("/".join(root.parts[-2:]).lstrip("/"))
    found_again = dependent(np.stack([looks[name] for name in fit])) if fit else ()
    images = NewImages(title, fit, skipped | unfit, known, gate, tuple(left_out), found_again)
    if not fit:
        raise DatasetError(
            f"None of the {len(paths)} images can be used: {_first(images)}.",
            _hint(images, turned_away=bool(unfit), keep_gate=keep_gate),
        )
    return images


def _glance(path: Path) -> tuple[ImageMeasures | None, NDArray[np.float32], str, str]:
    """What is seen of an image, what it looks like, or else what is wrong with it, and its digest."""
    digest, nothing = "", np.zeros(0, np.float32)
    try:
        digest = content_digest(path)
        image = read_content(path)
    except ImageError as error:
        return None, nothing, error.what, digest
    except OSError as error:
        return None, nothing, f"{path}: cannot be read: {error.strerror or error}.", ""
    if problem := FrameGate(frozen_after=0).check(image):
        return None, nothing, problem, digest
    return glance(image), spectrum(image), "", digest


def _taught(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of the images that the bank was taught, to what they were called."""
    return {
        picture.sha256: f"{picture.name}, taught in lesson {entry.number}"
        for entry in read_log(bundle)
        for picture in entry.images
        if picture.outcome == "taught"
    }


def _first(found: NewImages) -> str:
    if found.skipped:
        name, reason = next(iter(found.skipped.items()))
        return f"{name}: {reason.rstrip('.')}"
    name, training = next(iter(found.learned.items()))
    return f"{name} is {training}, which the bank was learned from"


def _hint(found: NewImages, *, turned_away: bool, keep_gate: bool) -> str:
    if turned_away and keep_gate:
        return "Where camera or light are new, leave --keep-gate out: the frame gate is then learned anew."
    if turned_away:
        return (
            f"Where camera or light are new, give {FEWEST_FOR_GATE} images or more: the frame gate is then "
            "learned anew from them."
        )
    if found.learned:
        return "Give images that the bank was not learned from: what it has learned scores too low."
    return "Give images of good parts as the camera takes them; pcedge doctor checks a camera."
