"""The result of one evaluated category, as typed, immutable values: what ``run.json`` holds."""

import msgspec

from pcedge.core.machine import Machine
from pcedge.core.preprocessing import Preprocessing

SCHEMA_VERSION = 1
# Names of the metrics, in the order in which people read them, and their titles.
METRICS = {
    "image_auroc": "image AUROC",
    "image_ap": "image average precision",
    "image_f1_max": "image F1, largest",
    "pixel_auroc": "pixel AUROC",
    "pixel_auroc_anomalous": "pixel AUROC, anomalous images",
    "pixel_ap": "pixel average precision",
    "pixel_f1_max": "pixel F1, largest",
    "aupro": "AUPRO",
    "aupro_all": "AUPRO, all images",
    "false_reject_rate": "false rejects",
    "miss_rate": "misses",
}


class RecordedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A number from 0 to 1, or why there is none.

    Attributes:
        value: The metric; None where it is not defined.
        interval: Ends of its 95 % confidence interval; None where there is none.
        reason: Why it is not defined; empty where it is.
        threshold: Where the value belongs to one threshold, that threshold.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    reason: str = ""
    threshold: float | None = None


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was evaluated on.

    Attributes:
        name: Of the category, ``bottle``.
        title: The folder and the one above, ``mvtec/bottle``.
        layout: How the folder was read, ``mvtec``.
        digest: Of the names and contents of all training images, test images and masks.
        train: Training images found.
        kinds: Test images found, by kind; good ones are of the kind ``good``.
        masks: Defective images with a mask that counts.
        problems: What the checks found, in words: leaks from train to test, masks that do not fit, ...
        aupro_limit: Largest false-positive rate of the AUPRO, as the dataset's authors use it.
    """

    name: str
    title: str
    layout: str
    digest: str
    train: int
    kinds: dict[str, int]
    masks: int
    problems: tuple[str, ...] = ()
    aupro_limit: float = 0.3


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How it was fitted: everything that decides a score.

    Attributes:
        preset: Name of the preset it started from; empty for none.
        backbone: Architecture; for an ensemble, its members' joined by ``+``.
        layers: Whose outputs were used.
        weights: Where the weights came from, for people.
        weights_sha256: Digest of the tensors used.
        preprocessing: How an image became the network's input.
        embedding: ``reference`` or ``mean``.
        dims: Values a patch.
        coreset: As asked for: a fraction or a number of rows.
        bank_rows: Rows in the memory bank.
        neighbours: Bank rows around the nearest one that re-weight the image score (paper, equation 7); 1
            for none, as in the official implementation.
        seed: Of everything random.
        method: ``patchcore``, or the method that it is compared with. Of others ``embedding`` and ``coreset``
            are empty, ``dims`` and ``bank_rows`` 0.
        label: What a comparison of methods calls it; empty where none was made.
        options: The settings of another method than PatchCore, as they were used, as text.
    """

    preset: str
    backbone: str
    layers: tuple[str, ...]
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing
    embedding: str
    dims: int
    coreset: str
    bank_rows: int
    neighbours: int
    seed: int
    method: str = "patchcore"
    label: str = ""
    options: dict[str, str] = {}


class ThresholdFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The threshold, found on good training images alone.

    Attributes:
        score: Image scores above it are NG.
        map: Map values above it are coloured.
        false_reject_rate: Share of good parts that it was to reject.
        method: How the good images' scores were obtained.
        held_out: Those scores, of good images that the bank they were scored against had not seen.
    """

    score: float
    map: float
    false_reject_rate: float
    method: str
    held_out: tuple[float, ...]


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One test image.

    Attributes:
        name: Its path in the dataset.
        kind: ``good``, or the kind of defect.
        defect: Whether it shows one.
        score: Its anomaly score.
        verdict: ``OK`` or ``NG`` at the threshold, ``INVALID`` for a score that is not a finite number; empty
            where there is no threshold.
    """

    name: str
    kind: str
    defect: bool
    score: float
    verdict: str


class RuntimeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime beside the others, on the same images.

    Attributes:
        runtime: As it was asked for: ``torch``, ``onnx``, ``tensorrt``.
        description: What ran, ``onnxruntime (CPU)``; empty where it was skipped.
        skipped: Why it could not run; empty where it did.
        metrics: By the names of ``METRICS``.
        frame_ms: Median time from decoded image to score and map.
        frame_ms_p95: Time that 19 of 20 images stay below.
        largest_difference: Largest difference of an image score from the first runtime's, relative to that
            score or the threshold, whichever is larger; None for the first itself.
        flips: Images whose verdict is another than the first runtime's.
    """

    runtime: str
    description: str = ""
    skipped: str = ""
    metrics: dict[str, RecordedMetric] = msgspec.field(default_factory=dict)
    frame_ms: float | None = None
    frame_ms_p95: float | None = None
    largest_difference: float | None = None
    flips: int = 0


class RunImage(msgspec.Struct, frozen=True, kw_only=True):
    """A test image worth looking at; files are paths in the run's directory.

    Attributes:
        group: ``miss``, ``false_reject``, ``found`` (defects) or ``accepted`` (good images).
        name: The image's path in the dataset.
        kind: ``good``, or the kind of defect.
        score: Its anomaly score.
        picture: The image as it was.
        heatmap: The image with its anomaly map.
        mask: The ground truth; empty where there is none.
    """

    group: str
    name: str
    kind: str
    score: float
    picture: str
    heatmap: str
    mask: str = ""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a curve, from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """What ``curves.json`` holds; None where a curve is not defined.

    Attributes:
        image_roc: False-positive rate to true-positive rate over images, every corner.
        pixel_roc: The same over the pixels of all images, thinned.
        pro: False-positive rate of pixels to mean overlap with defect components, on defective images,
            thinned, up to AUPRO's limit.
    """

    image_roc: Curve | None = None
    pixel_roc: Curve | None = None
    pro: Curve | None = None


# Stages of a run that are not those of its fit.
_NOT_FIT = ("export", "evaluate")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One category, fitted and evaluated: the contents of ``run.json``.

    Attributes:
        schema_version: Of this structure.
        name: Of the run, and of its directory.
        created: When it was finished, ISO 8601 in UTC.
        pcedge_version: What made it.
        request: Digest of all that was asked for, and of the data: a run of the same request is finished.
        command: The command line that made it; empty where it was not the command line.
        data: What was evaluated on.
        settings: How it was fitted.
        threshold: From good images; None where scores only rank images, as an ensemble's do.
        metrics: Of the first runtime, by the names of ``METRICS``.
        runtimes: All that were asked for, in that order.
        seconds: Time taken by each stage of fit and evaluation.
        bank_bytes: Size of the memory bank.
        bundle_bytes: Size of all files of the bundle.
        images: Every test image that was judged.
        skipped: Images that could not be used, training images too, and why.
        unusable_masks: Masks that could not be used, by image, and why.
        pictures: The most telling images: the worst misses and false rejects first.
        machine: Where it ran.
        libraries: Versions of what took part.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    created: str
    pcedge_version: str
    request: str
    command: str
    data: DataFacts
    settings: Settings
    threshold: ThresholdFacts | None
    metrics: dict[str, RecordedMetric]
    runtimes: tuple[RuntimeResult, ...]
    seconds: dict[str, float]
    bank_bytes: int
    bundle_bytes: int
    images: tuple[ImageRow, ...]
    skipped: dict[str, str]
    unusable_masks: dict[str, str]
    pictures: tuple[RunImage, ...]
    machine: Machine
    libraries: dict[str, str]

    @property
    def fit_s(self) -> float:
        """Seconds from the first image to a bundle with its thresholds."""
        return sum(seconds for stage, seconds in self.seconds.items() if stage not in _NOT_FIT)

    def value(self, metric: str) -> float | None:
        """A metric's value; None where it is not defined or was not measured."""
        found = self.metrics.get(metric)
        return found.value if found else None
