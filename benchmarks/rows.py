"""The rows a coreset is chosen from: a file of them, or rendered parts through pcedge-s."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError

_BATCH = 4


def load_rows(path: Path) -> NDArray[np.float32]:
    """Open float32 rows, [n, dims] or [images, patches, dims], of a ``.npy`` file without reading all.

    Returns:
        The rows, [n, dims].

    Raises:
        OptionError: There is no such file, or it holds something else.
    """
    stored = _open(path)
    return stored.reshape(-1, stored.shape[-1])


def load_pictures(path: Path) -> NDArray[np.float32]:
    """Open the rows of images, float32 [images, patches, dims], of a ``.npy`` file without reading all.

    Raises:
        OptionError: There is no such file, or it holds something else.
    """
    stored = _open(path)
    if stored.ndim != 3:
        raise OptionError(
            f"{path} holds rows without their images: {list(stored.shape)}.",
            "Expected float32 [images, patches, dims].",
        )
    return stored


def _open(path: Path) -> NDArray[np.float32]:
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"The rows in {path} cannot be read: {error}", "Give a file that numpy.save wrote to --features."
        ) from None
    if not isinstance(stored, np.ndarray) or stored.ndim not in (2, 3) or stored.dtype != np.float32:
        kind = f"{stored.dtype} {list(stored.shape)}" if isinstance(stored, np.ndarray) else "an archive"
        raise OptionError(
            f"{path} holds {kind}, not rows.",
            "Expected float32 [rows, dims] or [images, patches, dims].",
        )
    if not stored.size:
        raise OptionError(f"{path} holds no rows.", "Give a file with at least one row to --features.")
    checked: NDArray[np.float32] = stored
    return checked


def render_rows(count: int, seed: int, progress: Progress = silent) -> NDArray[np.float32]:
    """Embed rendered good parts by ``pcedge-s``, 784 patches a part, until there are ``count`` rows.

    Real patch embeddings in the ways that matter here: far from isotropic, many nearly equal patches of
    background, few of each edge. Deterministic on one machine.
    """
    import torch

    from pcedge.camera import render_part
    from pcedge.core.defaults import COMPACT
    from pcedge.core.preprocessing import PRESETS
    from pcedge.networks.backbones import load_backbone
    from pcedge.networks.embedder import build_embedder

    preprocessing = PRESETS["whole"]
    embedder = build_embedder(load_backbone(COMPACT).module, preprocessing, "mean")
    parts = -(-count // embedder.patches)
    rows = np.empty((parts, embedder.patches, embedder.dims), np.float32)
    for first in range(0, parts, _BATCH):
        batch = range(first, min(first + _BATCH, parts))
        pictures = [render_part(seed + part, size=preprocessing.input_size).image_rgb for part in batch]
        inputs = np.stack([preprocessing.apply(picture) for picture in pictures])
        with torch.inference_mode():
            rows[first : batch.stop] = embedder(torch.from_numpy(inputs)).numpy()
        progress("Rendering and embedding parts", batch.stop, parts)
    return rows.reshape(-1, embedder.dims)[:count]
