"""A name is not an identity: a fit replaces the bundle of its own product, and another's only when asked."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle, seal
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.bundles.product import identity_of_folder
from pcedge.camera import render_part, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.datasets import Dataset, open_dataset, product_folder
from pcedge.errors import OptionError
from pcedge.fitting.feature_cache import content_digest
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.fitting.replacing import product_of
from pcedge.thresholds.calibration_data import HeldOutEvidence
from pcedge.thresholds.cross_validation import HeldOut, ImageScores

Make = Callable[..., Bundle]


def _dataset(folder: Path, first: int = 0) -> Dataset:
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.png").write_bytes(b"image %d" % (first + number))
    return open_dataset(folder)


def _learned_from(bundle: Bundle, dataset: Dataset) -> None:
    """Let a bundle say that it was fitted on these images."""
    nothing = ImageScores(
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
        np.zeros((1, 16), np.float32),
        np.zeros((1, 1), np.int32),
        np.zeros((1, 1, 6), np.float32),
    )
    digests = {dataset.relative(path): content_digest(path) for path in dataset.train}
    evidence = HeldOutEvidence(("a",), ("a",), HeldOut(nothing, 1), (4, 4), 32, digests)
    evidence.write(bundle.directory)
    seal(bundle.directory, bundle.manifest)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("mvtec/bottle", "bottle"),
        ("bottle/good", "bottle"),
        ("bottle/train/good", "bottle"),
        ("bottle/OK", "bottle"),
        ("Flasche grün/Not-Defect/images", "Not-Defect"),
        ("bottle/no defect", "bottle"),
        ("goods inwards/Normal", "goods inwards"),
    ],
)
def test_a_bundle_is_called_like_the_folder_of_its_product(folder: str, name: str, tmp_path: Path) -> None:
    assert _dataset(tmp_path / folder).product == name


def test_a_folder_whose_parents_say_nothing_keeps_its_own_name() -> None:
    assert product_folder(Path("/train/good")) == Path("/train/good")


def test_what_is_not_there_or_cannot_be_read_is_no_other_product(make_bundle: Make, tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "screws")
    own = identity_of_folder(tmp_path / "screws")
    damaged = make_bundle(tmp_path / "m").directory
    (damaged / MANIFEST_FILE).write_text("{")

    assert product_of(tmp_path / "none", dataset, replace=False) == own
    assert product_of(damaged, dataset, replace=False) == own


@pytest.mark.parametrize("product", ["0123456789abcdef", ""])
def test_another_datasets_bundle_is_replaced_only_when_asked(
    product: str, make_bundle: Make, tmp_path: Path
) -> None:
    directory = make_bundle(tmp_path / "m", product=product, dataset="bottles/good").directory
    dataset = _dataset(tmp_path / "screws" / "good")

    with pytest.raises(OptionError, match=r"another dataset, bottles/good; this one is screws/good") as found:
        product_of(directory, dataset, replace=False)

    assert "--name" in found.value.hint
    assert "--replace" in found.value.hint
    own = identity_of_folder(tmp_path / "screws")
    assert product_of(directory, dataset, replace=True) == own != product


def test_folders_of_one_name_in_two_places_are_two_products(make_bundle: Make, tmp_path: Path) -> None:
    first, second = _dataset(tmp_path / "a" / "bottle"), _dataset(tmp_path / "b" / "bottle", 100)
    own = product_of(tmp_path / "none", first, replace=False)
    bundle = make_bundle(tmp_path / "m", product=own, dataset="x/bottle")
    _learned_from(bundle, first)

    assert product_of(bundle.directory, first, replace=False) == own
    with pytest.raises(OptionError, match="another dataset"):
        product_of(bundle.directory, second, replace=False)


def test_a_dataset_that_moved_and_grew_is_the_same_product(make_bundle: Make, tmp_path: Path) -> None:
    first = _dataset(tmp_path / "a" / "bottle")
    bundle = make_bundle(tmp_path / "m", product="0123456789abcdef")
    _learned_from(bundle, first)
    moved = tmp_path / "elsewhere" / "glass"
    shutil.move(first.root, moved)
    for number in range(50):
        (moved / f"more{number}.png").write_bytes(b"new %d" % number)

    assert product_of(bundle.directory, open_dataset(moved), replace=False) == "0123456789abcdef"


def test_a_bundle_of_before_there_were_identities_is_known_by_its_dataset(
    make_bundle: Make, tmp_path: Path
) -> None:
    directory = make_bundle(tmp_path / "m", product="", dataset="line/good").directory

    found = product_of(directory, _dataset(tmp_path / "line" / "good"), replace=False)

    assert found == identity_of_folder(tmp_path / "line")


def test_a_fit_refuses_before_it_works_and_says_so_in_the_manifest(tmp_path: Path) -> None:
    def render(folder: Path, first: int) -> Path:
        for seed in range(5):
            folder.mkdir(parents=True, exist_ok=True)
            write_image(folder / f"{seed}.png", render_part(first + seed, size=96).image_rgb)
        return folder

    bottles, screws = render(tmp_path / "bottles" / "good", 0), render(tmp_path / "screws" / "good", 90)
    options = FitOptions(
        backbone="pcedge-s",
        preprocessing=Preprocessing(64),
        coreset=CoresetSize(count=50),
        models=tmp_path / "m",
        cache_gb=0,
    )
    fitted = fit(bottles, options).bundle
    stages: list[str] = []

    with pytest.raises(OptionError, match="another dataset"):
        fit(screws, replace(options, name="bottles"), lambda stage, *_: stages.append(stage))

    assert (fitted.manifest.name, fitted.manifest.product) == ("bottles", identity_of_folder(bottles.parent))
    assert Bundle.open(fitted.directory) == fitted
    assert stages == []
    again = fit(screws, replace(options, name="bottles", replace=True)).bundle
    assert again.manifest.product == identity_of_folder(screws.parent)
