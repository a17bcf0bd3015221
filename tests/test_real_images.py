"""The bars on real images: MVTec bottle and magnetic tiles with a pretrained ResNet-18.

Needs the images and weights that lie beside a checkout on the project's own machines; skipped without.
"""

from pathlib import Path

import faiss
import numpy as np
import pytest

from pcedge import (
    PRESETS,
    CoresetSize,
    Evaluation,
    FitOptions,
    evaluate,
    export_bundle,
    fit,
    open_dataset,
    open_inspector,
)

pytestmark = pytest.mark.shared
# Image AUROC of the official implementation on the same images and weights, p = 0.01.
OFFICIAL_TILE = 0.7220
BOTH = ("torch", "onnx")


def _evaluated(
    shared: Path, dataset: str, models: Path, preset: str, runtimes: tuple[str, ...], seed: int = 0
) -> tuple[list[Evaluation], int]:
    """Fit, export and evaluate with each runtime; also the number of bank rows."""
    images = open_dataset(shared / "data" / dataset)
    options = FitOptions(
        backbone="resnet18",
        weights=shared / "weights" / "resnet18.pth",
        coreset=CoresetSize(fraction=0.01),
        preprocessing=PRESETS[preset],
        seed=seed,
        models=models,
    )
    bundle = export_bundle(fit(images.root, options).bundle).bundle
    results = []
    for runtime in runtimes:
        with open_inspector(bundle, runtime=runtime) as inspector:
            results.append(evaluate(images, inspector))
    return results, faiss.read_index(str(bundle.directory / "bank.faiss")).ntotal


def _assert_runtimes_agree(torch: Evaluation, onnx: Evaluation) -> None:
    assert torch.scores.keys() == onnx.scores.keys()
    assert torch.threshold is not None
    assert onnx.threshold is not None
    for name, score in torch.scores.items():
        assert onnx.scores[name] == pytest.approx(score, rel=1e-4), name
        assert (score > torch.threshold) == (onnx.scores[name] > onnx.threshold), name


def test_bottle(shared: Path, tmp_path: Path) -> None:
    (torch, onnx), rows = _evaluated(shared, "mvtec/bottle", tmp_path, "whole", BOTH)

    assert torch.image_auroc is not None
    assert torch.image_auroc >= 0.995
    assert rows == int(189 * 784 * 0.01)
    assert torch.pixel_auroc is None
    assert torch.defects_without_mask == torch.defective == 63
    _assert_runtimes_agree(torch, onnx)


def test_magnetic_tile_as_the_official_implementation_sees_it(shared: Path, tmp_path: Path) -> None:
    (torch, onnx), _ = _evaluated(shared, "magnetic_tile", tmp_path, "official-224", BOTH)
    _assert_runtimes_agree(torch, onnx)
    aurocs = [torch.image_auroc]
    for seed in (1, 2):  # the networks are the same: what differs is the bank, which both read from one file
        (onnx,), _ = _evaluated(shared, "magnetic_tile", tmp_path, "official-224", ("onnx",), seed)
        aurocs.append(onnx.image_auroc)

    assert np.mean(np.array(aurocs, float)) >= OFFICIAL_TILE - 0.02


def test_magnetic_tile_as_a_whole(shared: Path, tmp_path: Path) -> None:
    (torch, onnx), _ = _evaluated(shared, "magnetic_tile", tmp_path, "whole", BOTH)

    assert torch.image_auroc is not None
    assert torch.image_auroc >= 0.85
    assert torch.pixel_auroc is not None
    assert torch.pixel_auroc > 0.70
    _assert_runtimes_agree(torch, onnx)
