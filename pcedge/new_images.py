"""Good images that a bundle has not seen: found, checked, and turned away where they cannot be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from pcedge.bundle import Bundle
from pcedge.bundle_files import describe_file
from pcedge.camera import FrameGate, list_images
from pcedge.datasets import read_content
from pcedge.errors import DatasetError, ImageError
from pcedge.feature_cache import content_digest
from pcedge.gating import gate_limits
from pcedge.teaching import read_log


@dataclass(frozen=True, eq=False)
class NewImages:
    """Good images that may be used, and why others may not.

    Attributes:
        title: Where they are from, for people.
        paths: Name to path, in order.
        skipped: Name to reason, of those that cannot be read, that the frame gate turns away, or that are
            there twice.
        learned: Name to the name of the training image, or the taught one, that it is.
    """

    title: str
    paths: Mapping[str, Path]
    skipped: Mapping[str, str]
    learned: Mapping[str, str]


def list_given(places: Sequence[Path]) -> list[Path]:
    """The images named, and those in folders named and in the folders directly below these.

    Raises:
        DatasetError: A place does not exist, or there are no images.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            below = sorted(one for one in place.iterdir() if one.is_dir() and not one.name.startswith("."))
            found += [path for folder in (place, *below) for path in list_images(folder)]
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


def check_new(bundle: Bundle, places: Sequence[Path], learned: Mapping[str, str]) -> NewImages:
    """Find the images and leave out what cannot be used.

    Args:
        bundle: Its frame gate is the one that watch uses.
        places: Image files, and folders of images.
        learned: Name to ``content_digest`` of the images that the bank was learned from.

    Raises:
        DatasetError: There are no images, or none can be used.
    """
    paths = list_given(places)
    root = Path(commonpath([path.parent.resolve() for path in paths]))
    gate = FrameGate(gate_limits(bundle), frozen_after=0)
    training = {digest: name for name, digest in learned.items()}
    taught = _taught(bundle)
    seen: dict[str, str] = {}
    usable: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    known: dict[str, str] = {}
    for path in paths:
        name = path.resolve().relative_to(root).as_posix()
        try:
            digest = content_digest(path)
            problem = gate.check(read_content(path))
        except ImageError as error:
            problem, digest = error.what, ""
        except OSError as error:
            problem, digest = f"{path}: cannot be read: {error.strerror or error}.", ""
        if digest in training:
            known[name] = training[digest]
        elif taught and digest and (lesson := taught.get(describe_file(path).sha256)):
            known[name] = lesson
        elif digest in seen:
            skipped[name] = f"is the same file as {seen[digest]}"
        elif problem:
            skipped[name] = problem
        else:
            usable[name] = path
        seen.setdefault(digest, name)
    found = NewImages("/".join(root.parts[-2:]).lstrip("/"), usable, skipped, known)
    if not usable:
        raise DatasetError(f"None of the {len(paths)} images can be used: {_first(found)}.", _hint(found))
    return found


def _taught(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of the pictures that the bank was taught, to what they were called."""
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


def _hint(found: NewImages) -> str:
    if found.learned:
        return "Give images that the bank was not learned from: what it has learned scores too low."
    return "Give pictures of good parts as the camera takes them; pcedge doctor checks a camera."
