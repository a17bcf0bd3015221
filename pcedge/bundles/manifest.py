"""The bundle's manifest as typed, immutable values: schema, reading, checks."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from pcedge.core.inside import Inside
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, OptionError

from .finetune_record import FinetuneRecord
from .origin import check_origin

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1
PATCHCORE = "patchcore"
# Ways to search a bank, besides the approximate indexes that a bundle may keep: exactly with all rows in
# memory, or exactly with 8-bit codes in memory and the rows on disk.
EXACT, INT8 = "exact", "int8"
# The factory name of an index that is stored in a Milvus server, not in the bundle.
MILVUS = "milvus"

# What a bundle says it holds, within what can be: memory is taken by these numbers.
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Rows = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Side = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

EmbeddingKind = Literal["reference", "mean"]
# int8 comes in two kinds, each with a bank and a threshold of its own: for processors, and for TensorRT.
Precision = Literal["fp32", "fp16", "int8", "int8-trt"]
INT8_TRT: Precision = "int8-trt"


class BackboneInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The backbone: architecture, layers used, source and digest of its weights.

    ``finetuning`` records how the weights were fine-tuned on a product's good images, if they were.
    """

    name: str
    layers: tuple[str, ...]
    weights: str
    weights_sha256: str
    finetuning: FinetuneRecord | None = None


class EmbeddingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The patch embedding: ``reference`` (pooled) or ``mean`` (3x3 mean), its size, its grid of patches.

    ``int8_for`` names the target an int8 network was quantised for; None for floating point.
    """

    kind: str
    dims: Positive
    grid_hw: tuple[Side, Side]
    int8_for: Literal["cpu", "tensorrt"] | None = None


class BankInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The memory bank and how its rows were chosen.

    ``radius`` is the distance, in the projection the rows were chosen by, within which every training patch
    has a row; ``guarantee`` says whether it is exact or a bound.
    """

    rows: Rows
    patches: int
    coreset: str
    projection_dims: int
    seed: int
    radius: float
    guarantee: str
    dtype: str = "float32"
    metric: str = "squared L2"


class ThresholdInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds from good images only: scores above ``score`` are NG, map values above ``map`` are coloured.

    ``held_out`` has the score of every training image against a bank made without its fold. With REVIEW
    enabled, scores above ``review`` are REVIEW; a share ``review_rate`` of good parts is REVIEW or NG.

    Attributes:
        review_map: Map values above it are coloured as REVIEW; None in a bundle of an earlier version.
        groups: The group of each held-out image; empty for ungrouped images.
        folds: Number of folds; 1 if the bank saw none of the images, 0 in a bundle of an earlier version that
            does not record it.
        proven_rate: Proven bound for ``false_reject_rate``, see ``pcedge.thresholds.coverage_guarantee``.
        review_proven_rate: Proven bound for ``review_rate``.
        guarantee: The guarantee as text, with its conditions.
        images: Source of ``held_out``, if not the training images.
        index: The index the bank was searched with for these scores.
        calibration: The fit's ``--calibration`` option: ``folds``, ``split`` or ``leave-one-out``.
        grouped_by: The fit's ``--groups`` option: ``folder`` or a regular expression.
    """

    score: float
    map: float
    false_reject_rate: float
    method: str
    held_out: dict[str, float]
    review: float | None = None
    review_rate: float | None = None
    review_map: float | None = None
    groups: dict[str, str] = msgspec.field(default_factory=dict)
    folds: int = 0
    proven_rate: float | None = None
    review_proven_rate: float | None = None
    guarantee: str = ""
    images: str = ""
    index: str = EXACT
    calibration: Literal["folds", "split", "leave-one-out"] = "folds"
    grouped_by: str = ""


class MapInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How patch scores become a map."""

    sigma: float
    upsampling: str = "bilinear, half-pixel centres"
    smoothing: str = "gaussian, truncated at 4 sigma, border repeats the edge pixel"


class GateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that an image must meet to be judged, learned from ``images`` nominal images.

    Every limit lies ``margin`` times the range of these images beyond their extreme value, or a fixed minimum
    distance. ``brightness`` is the mean grey level, ``saturated`` and ``flat_rows`` are shares, ``sharpness``
    is the logarithm of the Laplacian's variance over the image's, ``row_break`` a step between rows in grey
    levels. ``size_wh`` is None if the images differ in size. ``shift`` is a share of the image's side; None
    if the scene is not steady, so that the camera's position is not checked.
    """

    images: int
    margin: float
    size_wh: tuple[Side, Side] | None
    brightness: tuple[float, float]
    saturated: float
    sharpness: float
    row_break: float
    flat_rows: float
    shift: float | None


class PrecisionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a precision on labelled images at export, with its own bank and threshold.

    Attributes:
        dataset: The labelled images.
        good: Number of good images judged.
        defective: Number of defective images judged.
        image_auroc: None if not defined.
        pixel_auroc: Over all images; None if not defined.
        false_reject_rate: Share of good images that were NG.
        miss_rate: Share of defective images that were not NG.
        flips: Number of images whose verdict differs from float32.
        bytes: Size of the network's file.
        frame_ms: Median time from decoded image to score and map, on the machine that exported.
    """

    dataset: str
    good: int
    defective: int
    image_auroc: float | None
    pixel_auroc: float | None
    false_reject_rate: float | None
    miss_rate: float | None
    flips: int
    bytes: int
    frame_ms: float


class SearchCost(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of accuracy of an approximate search against the exact search on the same frames.

    Attributes:
        frames: Number of frames searched.
        source: Source of the frames: the golden frames, or a dataset's images.
        recall: Share of patches for which the nearest row, or one at the same distance, was found.
        proved: Share for which this is certain without the comparison; None if no bound is known.
        score_error_mean: Mean of (score - exact score) / exact score over frames; never negative.
        score_error_largest: The largest.
        flips: Number of frames whose verdict changes, at the bundle's threshold.
        good_flips: Number of known good frames among them that are now rejected.
    """

    frames: int
    source: str
    recall: float
    proved: float | None
    score_error_mean: float
    score_error_largest: float
    flips: int
    good_flips: int


class IndexInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An approximate index of the bank: FAISS factory string, search parameters, loss of accuracy.

    It belongs to the bank whose digest is ``bank_sha256``, and to no other. Of rows in a Milvus ``factory``
    is ``milvus`` and ``file`` empty; ``parameters`` is the address that they were brought to, empty for the
    machine's own, and is for people: which Milvus is asked, the environment says.
    """

    factory: str
    parameters: str
    candidates: Positive
    file: str
    golden: str
    bank_sha256: str
    cost: SearchCost


class ScoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How patch scores become the image score.

    ``neighbours`` bank rows re-weight the largest patch score (paper, equation 7); 1 for none, as in the
    official implementation.
    """

    neighbours: Positive = 1


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Digest and size of a file, checked before use."""

    sha256: str
    size: int


class ProductManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest fields common to all methods.

    ``backbone`` is None for a method that uses no pretrained network. ``product`` is the product's identity,
    which names are not; empty in a bundle of an earlier version.
    """

    schema_version: int
    pcedge_version: str
    created: str
    name: str
    dataset: str
    images: int
    skipped: dict[str, str]
    preprocessing: Preprocessing
    threshold: ThresholdInfo
    map: MapInfo
    gate: GateInfo | None = None
    method: str = PATCHCORE
    backbone: BackboneInfo | None = None
    files: dict[str, FileInfo] = msgspec.field(default_factory=dict)
    product: str = ""

    def to_json(self) -> bytes:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Manifest(ProductManifest, frozen=True, kw_only=True):
    """The contents of ``manifest.json``.

    A network in another precision scores differently and needs its own bank and threshold. It is a whole
    bundle in a subfolder, named by ``precision``; ``precisions`` has their results. ``index`` is the index
    the bank is searched with: ``exact``, ``int8`` or one of ``indexes``. ``pictures_mb`` is the maximum size
    of the file of training images; 0 for none.
    """

    backbone: BackboneInfo
    embedding: EmbeddingInfo
    bank: BankInfo
    score: ScoreInfo = ScoreInfo()
    precision: Precision = "fp32"
    precisions: dict[Precision, PrecisionInfo] = msgspec.field(default_factory=dict)
    index: str = EXACT
    indexes: dict[str, IndexInfo] = msgspec.field(default_factory=dict)
    pictures_mb: float = 0.0


AnyManifest = TypeVar("AnyManifest", bound=ProductManifest)


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of a PatchCore bundle.

    Raises:
        BundleError: It is missing, damaged, of a newer schema or of another method; the message names the
            file.
    """
    method = method_of(directory)
    if method != PATCHCORE:
        raise BundleError(
            f"{directory / MANIFEST_FILE} is that of {method}; this works with PatchCore's alone.",
            "pcedge evaluate, export, explain and watch take it. A bundle of PatchCore: pcedge fit DATASET",
        )
    return read_manifest_as(Manifest, directory)


def method_of(directory: Path) -> str:
    """The method that a bundle was fitted with.

    Raises:
        BundleError: Its manifest is missing, damaged or of a newer schema.
    """
    method = _head(directory / MANIFEST_FILE, _content(directory)).get("method", PATCHCORE)
    return method if isinstance(method, str) else PATCHCORE


def read_manifest_as(kind: type[AnyManifest], directory: Path) -> AnyManifest:
    """Read and check a bundle's manifest.

    Raises:
        BundleError: It is missing, damaged, of a newer schema or of another kind; the message names the file.
    """
    path = directory / MANIFEST_FILE
    content = _content(directory)
    _head(path, content)
    try:
        manifest = msgspec.json.decode(content, type=kind)
    except OptionError as error:  # the preprocessing validates itself
        raise BundleError(f"{path}: {error.what}", error.hint) from error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
    _check_names(path, manifest)
    return manifest


def inside_bundle(directory: Path) -> Inside:
    """The door through which every path and name goes that a bundle's files say."""
    return Inside(
        directory, "bundle", BundleError, "Do not use this bundle: fit it again, or get it from its source."
    )


def _check_names(path: Path, manifest: ProductManifest) -> None:
    inside = inside_bundle(path.parent)
    for name in manifest.files:
        inside.plain(name, f"{path}, files:")
    inside.single(manifest.name, f"{path}, name:")
    if isinstance(manifest, Manifest):
        _check_indexes(path, manifest, inside)


def _check_indexes(path: Path, manifest: Manifest, inside: Inside) -> None:
    for index, info in manifest.indexes.items():
        for field, file in (("file", info.file), ("golden", info.golden)):
            # Rows in a Milvus are no file here.
            if file and inside.plain(file, f"{path}, indexes[{index!r}].{field}:") not in manifest.files:
                raise BundleError(
                    f"{path}, indexes[{index!r}].{field}: names {file!r}, which is none of its files.",
                    inside.hint,
                )


def _content(directory: Path) -> bytes:
    path = inside_bundle(directory).path(MANIFEST_FILE, str(directory))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{directory} is not a bundle: {path} cannot be read ({error.strerror}).",
            "Make one with: pcedge fit DATASET",
        ) from error
    check_origin(directory, content)
    return content


def _head(path: Path, content: bytes) -> dict[str, Any]:
    """The manifest as plain values, after checking its schema version."""
    try:
        head = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
    version = head.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version}; this version reads up to {SCHEMA_VERSION}.",
            "Update it with: pip install --upgrade pcedge",
        )
    return head


def _damaged(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path} is damaged: {error}.", "Restore the file, or fit the bundle again.")
