"""A bundle that is being taught: its banks, their states, and how images look to each of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.gate_files import gate_limits
from pcedge.bundles.manifest import EXACT, Precision, ThresholdInfo
from pcedge.bundles.row_usage import read_usage
from pcedge.camera import FrameGate, read_image
from pcedge.errors import ImageError
from pcedge.fitting.feature_cache import content_digest
from pcedge.inspection.exported_network import exported_network
from pcedge.inspection.patchcore_detector import Inspector

from .bank.bank_state import current_state
from .consensus import StrangePatches
from .lesson_log import BankState, LogEntry, read_log
from .options import TeachOptions
from .teacher_lock import only_teacher


@dataclass(frozen=True, eq=False)
class LessonImage:
    """An image that was offered; read whenever it is needed, since many large ones fill a device's memory.

    Attributes:
        path: Its file.
        sha256: Of the file; empty where it cannot be read.
        problem: Why it cannot be judged; empty if it can.
        content_digest: Of the file, as the evidence behind thresholds names images.
    """

    path: Path
    sha256: str
    problem: str
    content_digest: str = ""

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.path.name

    def read(self) -> NDArray[np.uint8]:
        """The image, uint8 [height, width, 3].

        Raises:
            ImageError: It is not the file any more that it was.
        """
        image = read_image(self.path)
        if sha256(self.path.read_bytes()).hexdigest() != self.sha256:
            raise ImageError(
                f"{self.path}: was changed while it was being learned from.", "Nothing was changed."
            )
        return image


class Images(Sequence[NDArray[np.uint8]]):
    """What images show, each read when it is asked for."""

    def __init__(self, pictures: Sequence[LessonImage]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, number: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, number: slice) -> "Images": ...

    def __getitem__(self, number: int | slice) -> "NDArray[np.uint8] | Images":
        found = self._pictures[number]
        return found.read() if isinstance(found, LessonImage) else Images(found)


def read_pictures(bundle: Bundle, paths: Sequence[Path]) -> list[LessonImage]:
    """Look at images, each once, and ask the frame gate whether they are fit to be judged."""
    gate = FrameGate(gate_limits(bundle), frozen_after=0)
    found: dict[str, LessonImage] = {}
    for path in paths:
        try:
            digest = sha256(path.read_bytes()).hexdigest()
            image = read_image(path)
        except (OSError, ImageError) as error:
            what = error.what if isinstance(error, ImageError) else f"{error.strerror or error}"
            found[str(path)] = LessonImage(path, "", f"it cannot be read: {what}")
            continue
        problem = gate.check(image)
        reason = f"the frame gate turns it away: {problem}" if problem else ""
        found.setdefault(digest, LessonImage(path, digest, reason, content_digest(path)))
    return list(found.values())


class Variant:
    """One of a bundle's banks, with the network that it was made through.

    Args:
        bundle: The bundle in this precision.
        folder: Its folder within the whole bundle.
        log: What was taught.
        device: Where the network runs.
    """

    def __init__(self, bundle: Bundle, folder: Path, log: tuple[LogEntry, ...], device: str) -> None:
        self.bundle = bundle
        self.folder = folder
        self.state: BankState = current_state(bundle, log)
        self.bank: Bank = bundle.searched_by(EXACT).open_bank()
        self.usage = read_usage(bundle.directory, self.state.bank_sha256, len(self.bank))
        self.network = exported_network(bundle, device)

    @property
    def limit(self) -> float:
        """The score up to which an image passes without REVIEW."""
        return passes_up_to(self.bundle.manifest.threshold)

    def embed(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Patch embeddings, float32 [pictures, patches, dims]."""
        prepare = self.bundle.manifest.preprocessing.apply
        found = np.empty((len(pictures), *self.network.shape), np.float32)
        for number, picture in enumerate(pictures):
            (found[number],) = self.network.runtime.infer(prepare(picture)[np.newaxis])
        return found

    def look(self, embeddings: NDArray[np.float32], bank: Bank | None = None) -> list[StrangePatches]:
        """What the inspector makes of embeddings, with this bank or another in its place."""
        inspector = Inspector.of(self.bundle.manifest, self.network.runtime, bank or self.bank)
        nothing = np.empty(0, np.float32)
        stages = [inspector.stages_from(nothing, one) for one in embeddings]
        return [
            StrangePatches(one, found.squared_distances, found.score)
            for one, found in zip(embeddings, stages, strict=True)
        ]


def passes_up_to(limits: ThresholdInfo) -> float:
    """The score up to which an image passes without REVIEW."""
    return limits.score if limits.review is None else min(limits.review, limits.score)


@contextmanager
def class_of(
    bundle: Bundle, options: TeachOptions
) -> Iterator[tuple[Bundle, tuple[LogEntry, ...], Mapping[Precision, "Variant"]]]:
    """The bundle as it is now, its log and its banks, for one teacher alone while the block lasts.

    Raises:
        BundleError: Another process teaches, or the log or another file is damaged.
        PcedgeError: The bundle was not exported.
    """
    with only_teacher(bundle.directory, options.wait_s), ExitStack() as stack:
        bundle = Bundle.open(bundle.directory)
        log = read_log(bundle)
        yield bundle, log, open_variants(bundle, log, options.device, stack)


def open_variants(
    bundle: Bundle, log: tuple[LogEntry, ...], device: str, stack: ExitStack
) -> Mapping[Precision, Variant]:
    """Open all banks of a bundle, its own first.

    Raises:
        PcedgeError: The bundle was not exported, or a file of it is missing or changed.
    """
    found: dict[Precision, Variant] = {}
    for precision in bundle.precisions:
        own = precision == bundle.manifest.precision
        one = bundle if own else bundle.searched_by(EXACT).in_precision(precision)
        folder = one.directory.relative_to(bundle.directory)
        found[precision] = Variant(one, folder, log, device)
        stack.enter_context(found[precision].network.runtime)
    return found
