"""Golden frames: a few images with the float32 reference's results of every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, WHOLE, Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Manifest
from pcedge.camera import read_image, write_image
from pcedge.core.npz import open_arrays, read_arrays
from pcedge.core.scoring import anomaly_map, image_score, reweighted_score
from pcedge.errors import BundleError, DatasetError, ImageError
from pcedge.inspection.patchcore_detector import Inspector, Stages

FOLDER = "golden"
_STAGES_FILE = "stages.npz"
FAULT_SUFFIX = "-with-noise"


@dataclass(frozen=True, eq=False)
class GoldenFrame:
    """An image, its name, the reference's stages for it, and the map, float32 [s, s]."""

    name: str
    image_rgb: NDArray[np.uint8]
    stages: Stages
    score_map: NDArray[np.float32]

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The reference's embeddings, float32 [patches, dims]."""
        assert self.stages.embeddings is not None  # the reference does not search on a device
        return self.stages.embeddings


def with_fault(images: dict[str, NDArray[np.uint8]], seed: int) -> dict[str, NDArray[np.uint8]]:
    """Add a copy of the last image with a square of noise, which no good part has."""
    name, image = list(images.items())[-1]
    return {**images, f"{name}{FAULT_SUFFIX}": _with_noise(image, seed)}


def golden_frames(
    paths: Sequence[Path], scores: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.uint8]]:
    """The images with the highest, the lowest and the median held-out score, and one with a fault.

    Raises:
        DatasetError: None of the images is readable any more.
    """
    order = np.argsort(scores, kind="stable")[::-1]
    images = {
        "highest": _first_readable(paths, order),
        "lowest": _first_readable(paths, order[::-1]),
        "median": _first_readable(paths, np.roll(order, -(len(order) // 2))),
    }
    return with_fault(images, seed)


def write_golden(directory: Path, frames: dict[str, NDArray[np.uint8]], inspector: Inspector) -> None:
    """Run the reference on images and store both below ``directory``/golden."""
    folder = directory / FOLDER
    folder.mkdir()
    results = [inspector.stages(image) for image in frames.values()]
    golden = [
        GoldenFrame(name, image, stages, inspector.score_map(stages))
        for (name, image), stages in zip(frames.items(), results, strict=True)
    ]
    for frame in golden:
        write_image(folder / f"{frame.name}.png", frame.image_rgb)
    arrays: dict[str, Any] = {
        "names": np.array(list(frames), np.str_),
        "network_input": np.stack([stages.network_input for stages in results]),
        "embeddings": np.stack([frame.embeddings for frame in golden]),
        "squared_distances": np.stack([stages.squared_distances for stages in results]),
        "rows": np.stack([stages.rows for stages in results]),
        "score_map": np.stack([frame.score_map for frame in golden]),
        "score": np.array([stages.score for stages in results]),
    }
    np.savez(folder / _STAGES_FILE, **arrays)


def write_searched(path: Path, bundle: Bundle, frames: list[GoldenFrame], bank: Bank) -> None:
    """Store the results of an approximate search on the reference's embeddings."""
    manifest = bundle.manifest
    grid_hw, size = manifest.embedding.grid_hw, manifest.preprocessing.input_size
    found = [bank.search(frame.embeddings) for frame in frames]
    arrays: dict[str, Any] = {
        "squared_distances": np.stack([distances for distances, _ in found]),
        "rows": np.stack([rows for _, rows in found]),
        "score_map": np.stack([anomaly_map(distances, grid_hw, size) for distances, _ in found]),
        "score": np.array([image_score(distances) for distances, _ in found]),
    }
    np.savez(path, **arrays)


def renew_golden(directory: Path, manifest: Manifest, bank: Bank) -> None:
    """Recompute the stored results with another bank; images and embeddings stay.

    Args:
        directory: The bundle's directory, or its staging directory; its file is replaced, not written into.
        manifest: Grid of patches, map size and scoring.
        bank: The memory bank.
    """
    path = directory / FOLDER / _STAGES_FILE
    arrays: dict[str, Any] = read_arrays(path)
    grid_hw, size = manifest.embedding.grid_hw, manifest.preprocessing.input_size
    found = [(*bank.search(embeddings), embeddings) for embeddings in arrays["embeddings"]]
    arrays["squared_distances"] = np.stack([distances for distances, _, _ in found])
    arrays["rows"] = np.stack([rows for _, rows, _ in found])
    arrays["score_map"] = np.stack([anomaly_map(distances, grid_hw, size) for distances, _, _ in found])
    neighbours = manifest.score.neighbours
    arrays["score"] = np.array([reweighted_score(*one, bank, neighbours) for one in found])
    path.unlink()
    np.savez(path, **arrays)


def read_golden(bundle: Bundle) -> list[GoldenFrame]:
    """Read a bundle's golden frames, every file checked.

    With an approximate index, distances, map and score are those of that index when it was made: verification
    then proves that it gives the same here.

    Raises:
        BundleError: There are none, or a file is missing or changed.
    """
    paths = {path.name: path for path in bundle.files_in(FOLDER)}
    if _STAGES_FILE not in paths:
        raise _no_frames(bundle)
    manifest = bundle.manifest
    embedding = manifest.embedding
    patches = embedding.grid_hw[0] * embedding.grid_hw[1]
    with open_arrays(paths[_STAGES_FILE]) as stored:
        names = stored.texts("names", "frames")
        # Of another size than the manifest says: that is a finding of verification, with words of its own.
        inputs = stored.array("network_input", FLOAT, len(names), 3, "side", "side")
        embeddings = stored.array("embeddings", FLOAT, len(names), patches, embedding.dims)
    index = manifest.indexes.get(manifest.index)
    searched = paths[_STAGES_FILE] if index is None else bundle.file(index.golden)
    with open_arrays(searched) as stored:
        distances = stored.array("squared_distances", FLOAT, len(names), patches)
        rows = stored.array("rows", WHOLE, len(names), patches, low=0, high=manifest.bank.rows - 1)
        maps = stored.array("score_map", FLOAT, len(names), inputs.shape[-1], inputs.shape[-1])
        scores = stored.array("score", FLOAT, len(names)).tolist()
    if not names or not {f"{name}.png" for name in names} <= paths.keys():
        raise _no_frames(bundle)
    images = [_read_image(paths[f"{name}.png"]) for name in names]
    results = zip(inputs, embeddings, distances, rows, scores, strict=True)
    return [
        GoldenFrame(name, image, Stages(*stages), score_map)
        for name, image, stages, score_map in zip(names, images, results, maps, strict=True)
    ]


def _read_image(path: Path) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except ImageError as error:
        raise BundleError(error.what, "Fit again, or restore the file.") from error


def _first_readable(paths: Sequence[Path], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The first readable image: a file may have been removed since the fit."""
    for image in order:
        try:
            return read_image(paths[image])
        except ImageError:
            continue
    raise DatasetError("None of the training images can be read any more.", "Fit again when they are back.")


def _no_frames(bundle: Bundle) -> BundleError:
    return BundleError(
        f"The bundle {bundle.directory} has no golden frames, so nothing can be proved of it.",
        "Fit it again, or get it whole from its source.",
    )


def _with_noise(image_rgb: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    height, width = image_rgb.shape[:2]
    side = max(8, min(height, width) // 8)
    top, left = (height - side) // 2, (width - side) // 2
    noisy = image_rgb.copy()
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    noisy[top : top + side, left : left + side] = noise[: height - top, : width - left]
    return noisy
