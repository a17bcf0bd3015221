"""Several cameras and products on as few loaded networks as there are different ones."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.drift_reference import rare_rows_of
from pcedge.bundles.row_usage import RowUsage, usage_of
from pcedge.camera import RARE_ROWS, Frame, Inspection, Verdict
from pcedge.errors import OptionError
from pcedge.export import Runtime
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.runtimes import Candidate
from pcedge.methods.any_bundle import AnyBundle, detector_of, network_digest, open_network

Choose = Callable[[AnyBundle], Candidate]


@dataclass(frozen=True)
class Assignment:
    """What the frames of a camera are judged as.

    Attributes:
        bundle: The product.
        threshold: Used instead of the bundle's own.
        review: A score above which parts are REVIEW, True for the bundle's own; None or False for no REVIEW.
        mask_hw: uint8, 255 where the image is to be ignored; None to look at all of it. It is stretched
            over the image, or over its region of interest.
    """

    bundle: AnyBundle
    threshold: float | None = None
    review: float | bool | None = None
    mask_hw: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class _Place:
    """A camera's assignment with what was loaded for it: the bundle in the precision that is used."""

    assignment: Assignment
    bundle: AnyBundle
    inspector: AnyDetector
    key: str
    device: str
    ignored: NDArray[np.bool_] | None
    usage: RowUsage | None


class InspectorPool:
    """Judges the frames of several cameras, those with the same network together::

        with PooledInspector({"left": Assignment(lid), "right": Assignment(cup)}, choose) as inspector:
            inspections = inspector.inspect(frames)

    Bundles with the same embedder share one loaded runtime, whatever their banks and thresholds are.

    Args:
        assignments: By camera name.
        choose: Says which runtime a bundle runs on; raises a ``PcedgeError`` if none will do.
    """

    def __init__(self, assignments: Mapping[str, Assignment], choose: Choose) -> None:
        self._assignments = dict(assignments)
        self._choose = choose
        self._runtimes: dict[str, Runtime] = {}
        self._places: dict[str, _Place] = {}
        self._waiting: dict[str, _Place] = {}
        self._loading = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "InspectorPool":
        """Load what is needed.

        Raises:
            PcedgeError: A bundle or a runtime cannot be used.
        """
        try:
            for camera, assignment in self._assignments.items():
                self._places[camera] = self._load(assignment)
        except BaseException:
            self._close(set())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(set())

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What runs the networks, one name for each that is loaded."""
        return tuple(runtime.name for runtime in self._runtimes.values())

    @property
    def gains_from_batches(self) -> bool:
        """Whether frames judged together take less time than one after the other.

        On a processor one frame keeps all cores busy, and together each would only wait for the last one's
        verdict; so it would on a device that searches too, which takes one image at a time.
        """
        return any(
            place.device != "cpu" and not place.inspector.searches_on_device
            for place in self._places.values()
        )

    def assignment(self, camera: str) -> Assignment:
        """What a camera's frames are judged as now."""
        return self._places[camera].assignment

    def inspector(self, camera: str) -> AnyDetector:
        """What judges a camera's frames now."""
        return self._places[camera].inspector

    def bundle(self, camera: str) -> AnyBundle:
        """What a camera's frames are judged as, or will be, in the precision that is used."""
        with self._lock:
            return (self._waiting.get(camera) or self._places[camera]).bundle

    def usages(self) -> list[RowUsage]:
        """What counts how banks' rows are used, for every camera whose bundle has a bank."""
        with self._lock:
            return [place.usage for place in self._places.values() if place.usage is not None]

    def inspect(self, frames: Sequence[Frame]) -> list[Inspection]:
        """Judge frames, which have images, whatever their cameras."""
        self._take_over()
        places = [self._places[frame.camera_name] for frame in frames]
        found: dict[int, Inspection] = {}
        for key in dict.fromkeys(place.key for place in places):
            chosen = [number for number, place in enumerate(places) if place.key == key]
            found |= self._inspect_together(chosen, frames, places)
        return [found[number] for number in range(len(frames))]

    def replace(self, camera: str, assignment: Assignment) -> None:
        """Judge a camera's frames as something else from the next one on; the loading is done here and now.

        May be called from another thread than ``inspect``, which goes on with what it has meanwhile.

        Raises:
            PcedgeError: What is new cannot be used; the old one stays.
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
            # A device that searches too is handed an image with its own bank.
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
        chosen = self._choose(assignment.bundle)
        bundle = assignment.bundle.in_precision(chosen.precision)
        key = f"{chosen} {network_digest(bundle, chosen)} {bundle.manifest.preprocessing}"
        with self._lock:
            runtime = self._runtimes.get(key)
        fresh = runtime is None
        if runtime is None:
            runtime = open_network(bundle, chosen)
            runtime.__enter__()
            with self._lock:
                self._runtimes[key] = runtime
        review = bundle.manifest.threshold.review if assignment.review is True else assignment.review
        inspector = detector_of(
            bundle,
            runtime,
            threshold=assignment.threshold,
            review=None if review is False else review,
        )
        inspector.prepare()
        if fresh:  # others are judging on one that is shared, and a runtime takes one call at a time
            _warm_up(inspector)
        usage = usage_of(bundle, rare_rows_of(bundle)) if isinstance(bundle, Bundle) else None
        ignored = _ignored(assignment.mask_hw, inspector)
        return _Place(assignment, bundle, inspector, key, chosen.device, ignored, usage)

    def _close_unused(self) -> None:
        """Close what a replaced bundle, or one that could not be used after all, has left; under the lock."""
        # What is being loaded may use a runtime that nobody else uses any more.
        if not self._loading:
            self._close({place.key for place in [*self._places.values(), *self._waiting.values()]})

    def _close(self, used: set[str]) -> None:
        for key in [key for key in self._runtimes if key not in used]:
            self._runtimes.pop(key).__exit__(None, None, None)


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
    """Judge an image, and count the bank rows that a good one uses."""
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
    """bool [patches]: patches of which more than half is masked."""
    if mask_hw is None:
        return None
    import cv2

    size = inspector.preprocessing.input_size
    masked = inspector.preprocessing.apply_to_mask(mask_hw).astype(np.float32)
    rows, columns = inspector.grid_hw
    assert masked.shape == (size, size)
    share = cv2.resize(masked, (columns, rows), interpolation=cv2.INTER_AREA)
    ignored = np.asarray(share > 0.5).reshape(-1)
    if ignored.all():  # every part would be OK, whatever it is like
        raise OptionError(
            "The mask leaves nothing to look at: every patch is hidden by more than half.",
            "White is what is ignored: invert it, or leave more of the image.",
        )
    return ignored


def _warm_up(inspector: AnyDetector) -> None:
    """Run once before the first frame: a runtime's first call is slow."""
    size = inspector.preprocessing.input_size
    inspector.inspect(np.zeros((size, size, 3), np.uint8))
