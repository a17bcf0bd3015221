"""An inspector for several cameras and products that loads each distinct network once."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.row_usage import RowUsage
from pcedge.camera import RARE_ROWS, Frame, Inspection, Verdict
from pcedge.errors import OptionError
from pcedge.inspection.detector import AnyDetector
from pcedge.methods import AnyBundle, method_for

from .runtime_choice import Choose, RuntimeOptions, is_named, proved
from .shared_networks import LoadedBundle, OpenNetwork, SharedNetworks


@dataclass(frozen=True)
class Assignment:
    """The product that a camera's frames are judged as, with its settings.

    Attributes:
        bundle: The product's bundle.
        threshold: Overrides the bundle's threshold.
        review: Score above which parts are REVIEW, True for the bundle's own; None or False for no REVIEW.
        mask_hw: uint8, 255 where the image is ignored; None to use all of it. It is stretched over the image,
            or over its region of interest.
    """

    bundle: AnyBundle
    threshold: float | None = None
    review: float | bool | None = None
    mask_hw: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class _Place:
    """A camera's assignment and what is loaded for it."""

    assignment: Assignment
    loaded: LoadedBundle
    ignored: NDArray[np.bool_] | None
    usage: RowUsage | None

    @property
    def inspector(self) -> AnyDetector:
        return self.loaded.inspector


class InspectorPool:
    """Judges the frames of several cameras, those with the same network together::

        with InspectorPool({"left": Assignment(lid), "right": Assignment(cup)}) as inspector:
            inspections = inspector.inspect(frames)

    Bundles with the same embedder share one loaded network; banks and thresholds may differ. A bundle is
    verified on this machine before it judges anything, unless ``choose`` does otherwise.

    Args:
        assignments: By camera name.
        choose: Function that chooses the runtime of a bundle; raises a ``PcedgeError`` if none is usable.
            None for the fastest that is proved to score like the reference.
        open_network: Function that opens a bundle's network; None for the default.
    """

    def __init__(
        self,
        assignments: Mapping[str, Assignment],
        choose: Choose | None = None,
        *,
        open_network: OpenNetwork | None = None,
    ) -> None:
        self._assignments = dict(assignments)
        chooser = choose or _proved_for(self._assignments)
        self._networks = SharedNetworks(chooser, open_network) if open_network else SharedNetworks(chooser)
        self._places: dict[str, _Place] = {}
        self._waiting: dict[str, _Place] = {}
        self._loading = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "InspectorPool":
        """Load bundles and networks.

        Raises:
            ExportError: No runtime is proved to score like the reference.
            PcedgeError: A bundle or a runtime cannot be used.
        """
        try:
            for camera, assignment in self._assignments.items():
                self._places[camera] = self._load(assignment)
        except BaseException:
            self._networks.close_unused()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._networks.close_unused()

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the runtimes, one per loaded network."""
        return self._networks.names

    @property
    def gains_from_batches(self) -> bool:
        """Whether judging frames in a batch is faster than one after the other.

        On a CPU one frame keeps all cores busy, so frames in a batch would only wait for each other. The same
        holds for a device that also searches, which takes one image at a time.
        """
        return any(
            place.loaded.device != "cpu" and not place.inspector.searches_on_device
            for place in self._places.values()
        )

    def assignment(self, camera: str) -> Assignment:
        """The current assignment of a camera."""
        return self._places[camera].assignment

    def inspector(self, camera: str) -> AnyDetector:
        """The current detector of a camera."""
        return self._places[camera].inspector

    def bundle(self, camera: str) -> AnyBundle:
        """The bundle of a camera, current or next, in the precision in use."""
        with self._lock:
            return (self._waiting.get(camera) or self._places[camera]).loaded.bundle

    def usages(self) -> list[RowUsage]:
        """The row usage counters of all cameras whose bundle has a bank."""
        with self._lock:
            return [place.usage for place in self._places.values() if place.usage is not None]

    def inspect(self, frames: Sequence[Frame]) -> list[Inspection]:
        """Judge frames of any cameras; all frames must have images."""
        self._take_over()
        places = [self._places[frame.camera_name] for frame in frames]
        found: dict[int, Inspection] = {}
        for key in dict.fromkeys(place.loaded.key for place in places):
            chosen = [number for number, place in enumerate(places) if place.loaded.key == key]
            found |= self._inspect_together(chosen, frames, places)
        return [found[number] for number in range(len(frames))]

    def replace(self, camera: str, assignment: Assignment) -> None:
        """Change a camera's assignment from its next frame on; loading is done in this call.

        May be called from another thread than ``inspect``, which continues with the old one meanwhile.

        Raises:
            PcedgeError: The new assignment cannot be used; the old one stays.
        """
        with self._lock:
            self._loading += 1
        try:
            place = self._load(assignment)
            with self._lock:
                self._waiting[camera] = place
        finally:
            with self._lock:
                self._loading -= 1
                self._close_unused()

    def _take_over(self) -> None:
        if not self._waiting:
            return
        with self._lock:
            self._places |= self._waiting
            self._waiting = {}
            self._close_unused()

    def _inspect_together(
        self, chosen: Sequence[int], frames: Sequence[Frame], places: Sequence[_Place]
    ) -> dict[int, Inspection]:
        images = [_picture(frames[number]) for number in chosen]
        first = places[chosen[0]]
        if len(chosen) == 1 or first.inspector.searches_on_device:
            # A device that also searches takes each image with its own bank.
            return {n: _judged_alone(places[n], image) for n, image in zip(chosen, images, strict=True)}
        inputs = [
            places[n].inspector.preprocessing.apply(image) for n, image in zip(chosen, images, strict=True)
        ]
        outputs = first.inspector.runtime.infer(np.stack(inputs))
        return {
            number: _judged(places[number], inputs[i], outputs[i], images[i])
            for i, number in enumerate(chosen)
        }

    def _load(self, assignment: Assignment) -> _Place:
        loaded = self._networks.load(
            assignment.bundle, threshold=assignment.threshold, review=assignment.review
        )
        bundle = loaded.bundle
        usage = method_for(bundle).row_usage(bundle)
        return _Place(assignment, loaded, _ignored(assignment.mask_hw, loaded.inspector), usage)

    def _close_unused(self) -> None:
        """Close networks that no assignment uses any more; call it with the lock held."""
        # A bundle that is being loaded may use a network that no other uses any more.
        if not self._loading:
            places = [*self._places.values(), *self._waiting.values()]
            self._networks.close_unused({place.loaded.key for place in places})


def _proved_for(assignments: Mapping[str, Assignment]) -> Choose:
    options = RuntimeOptions()
    named = any(is_named(one.threshold, one.review) for one in assignments.values())
    return proved(options.for_float32_scores() if named else options)


def _judged_alone(place: _Place, image_rgb: NDArray[np.uint8]) -> Inspection:
    return _judged_from(place, place.inspector.stages(image_rgb), image_rgb)


def _judged(
    place: _Place,
    network_input: NDArray[np.float32],
    outputs: NDArray[np.float32],
    image_rgb: NDArray[np.uint8],
) -> Inspection:
    return _judged_from(place, place.inspector.stages_from(network_input, outputs), image_rgb)


def _judged_from(place: _Place, stages: Any, image_rgb: NDArray[np.uint8]) -> Inspection:
    """Judge an image; if it is good, count the bank rows that it uses."""
    inspection = place.inspector.judge(stages, image_rgb, place.ignored)
    if place.usage is None or inspection.verdict is Verdict.INVALID:
        return inspection
    rows = stages.rows if place.ignored is None else stages.rows[~place.ignored]
    if inspection.verdict is Verdict.OK:
        place.usage.add(rows)
    share = place.usage.rare_share(rows)
    return inspection if share is None else replace(inspection, numbers={RARE_ROWS: share})


def _picture(frame: Frame) -> NDArray[np.uint8]:
    assert frame.image_rgb is not None  # frames without an image are INVALID before they come here
    return frame.image_rgb


def _ignored(mask_hw: NDArray[np.uint8] | None, inspector: AnyDetector) -> NDArray[np.bool_] | None:
    """bool [patches], patches of which more than half is masked."""
    if mask_hw is None:
        return None
    import cv2

    size = inspector.preprocessing.input_size
    masked = inspector.preprocessing.apply_to_mask(mask_hw).astype(np.float32)
    rows, columns = inspector.grid_hw
    assert masked.shape == (size, size)
    share = cv2.resize(masked, (columns, rows), interpolation=cv2.INTER_AREA)
    ignored = np.asarray(share > 0.5).reshape(-1)
    if ignored.all():  # every part would be OK, even a defective one
        raise OptionError(
            "The mask leaves nothing to look at: every patch is hidden by more than half.",
            "White is what is ignored: invert it, or leave more of the image.",
        )
    return ignored
