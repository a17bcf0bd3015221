"""Pictures that a user has stored: good ones and defects, whose verdicts a lesson must not spoil."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import inside_bundle
from pcedge.camera import read_image, write_image
from pcedge.errors import BundleError, OptionError

from .lesson_log import FOLDER

_LIST_FILE = f"{FOLDER}/examples.json"
_PICTURES = f"{FOLDER}/examples"
MOST_EXAMPLES = 64

ExampleKind = Literal["good", "defect"]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A stored image.

    Attributes:
        kind: What it shows.
        name: Its file's name, as it was given.
        sha256: Of that file.
        file: Where it lies in the bundle.
    """

    kind: ExampleKind
    name: str
    sha256: str
    file: str


def read_examples(bundle: Bundle) -> tuple[Example, ...]:
    """The images that a bundle keeps.

    Raises:
        BundleError: The list is damaged, or names a file outside the bundle.
    """
    if not bundle.has(_LIST_FILE):
        return ()
    path = bundle.file(_LIST_FILE)
    try:
        examples = msgspec.json.decode(path.read_bytes(), type=tuple[Example, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged: {error}.", "Restore the file.") from error
    for example in examples:
        inside_bundle(bundle.directory).plain(example.file, f"{path}, file:")
    return examples


def example_picture(bundle: Bundle, example: Example) -> NDArray[np.uint8]:
    """A stored image, uint8 [height, width, 3]."""
    return read_image(bundle.file(example.file))


def add_examples(
    staging: Path,
    known: tuple[Example, ...],
    kind: ExampleKind,
    pictures: Iterable[tuple[str, str, NDArray[np.uint8]]],
) -> tuple[Example, ...]:
    """Store images (file name, digest, image) that are not stored yet; return all there are.

    Raises:
        OptionError: There would be too many, or one is stored as the other kind.
    """
    examples = list(known)
    for name, digest, picture in pictures:
        same = next((one for one in examples if one.sha256 == digest), None)
        if same is not None and same.kind != kind:
            raise OptionError(
                f"{name} is stored as a {same.kind} example and cannot be a {kind} one too.",
                "Nothing was changed.",
            )
        if same is None:
            file = f"{_PICTURES}/{kind}-{digest[:12]}.png"
            (staging / _PICTURES).mkdir(parents=True, exist_ok=True)
            write_image(staging / file, picture)
            examples.append(Example(kind=kind, name=name, sha256=digest, file=file))
    if len(examples) > MOST_EXAMPLES:
        raise OptionError(
            f"A bundle keeps {MOST_EXAMPLES} examples at most; these would be {len(examples)}.",
            "Keep those that are hardest to tell from the other kind.",
        )
    path = staging / _LIST_FILE
    path.unlink(missing_ok=True)
    path.write_bytes(msgspec.json.encode(examples))
    return tuple(examples)
