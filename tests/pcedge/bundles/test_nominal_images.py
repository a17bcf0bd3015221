"""The file with images of training images: what it holds, how large it gets, how it is changed."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcedge.banks import RowSources
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.nominal_images import (
    NOMINAL_FILE,
    KeptPictures,
    add_nominal,
    keep_pictures,
    write_nominal,
)
from pcedge.camera import render_part, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions

PLENTY = 10**7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NOMINAL_FILE


def _picture(seed: int) -> NDArray[np.uint8]:
    return render_part(seed, size=64).image_rgb


def test_pictures_come_back_by_the_names_of_their_images(path: Path) -> None:
    names = ["train/good/1.png", "good/ü ß.jpg", "../outside.png"]

    assert write_nominal(path, ((name, _picture(n)) for n, name in enumerate(names)), PLENTY) == 3

    assert KeptPictures(path).names == tuple(names)
    for number, name in enumerate(names):
        read = KeptPictures(path).read(name)
        assert read is not None
        assert np.abs(read.astype(int) - _picture(number)).mean() < 4  # what JPEG leaves
    assert KeptPictures(path).read("train/good/2.png") is None
    with ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {ZIP_STORED}


def test_the_same_pictures_make_the_same_file(path: Path) -> None:
    write_nominal(path, [("a", _picture(0))], PLENTY)
    first = path.read_bytes()
    write_nominal(path, [("a", _picture(0))], PLENTY)

    assert path.read_bytes() == first


def test_the_file_never_grows_beyond_its_limit_and_wastes_nothing(path: Path) -> None:
    pictures = [(f"ü{number}.png", _picture(number)) for number in range(4)]
    write_nominal(path, pictures[:3], PLENTY)
    size = path.stat().st_size

    assert write_nominal(path, pictures, size) == 3
    assert path.stat().st_size == size
    assert write_nominal(path, pictures, size - 1) == 2
    assert write_nominal(path, pictures, 100) == 0
    assert not path.exists()


def test_further_pictures_come_first_and_the_last_give_way(path: Path) -> None:
    write_nominal(path, [("a", _picture(0)), ("b", _picture(1))], PLENTY)
    size = path.stat().st_size
    elsewhere = path.with_name("linked.zip")
    elsewhere.hardlink_to(path)
    before = elsewhere.read_bytes()

    assert add_nominal(path, [("c", _picture(1))], PLENTY, drop=["a"]) == 2
    assert KeptPictures(path).names == ("c", "b")
    assert elsewhere.read_bytes() == before
    assert add_nominal(path, [("d", _picture(0)), ("b", _picture(1))], size) == 2
    assert KeptPictures(path).names == ("d", "b")
    assert add_nominal(path.with_name("new.zip"), [("e", _picture(0))], PLENTY) == 1


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_file_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    for use in (lambda: KeptPictures(path), lambda: add_nominal(path, [], 9)):
        with pytest.raises(BundleError, match=NOMINAL_FILE):
            use()


def test_an_entry_that_is_no_picture_is_an_error_too(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"no picture")

    with pytest.raises(BundleError, match=NOMINAL_FILE):
        KeptPictures(path).read("a")


def test_an_entry_that_is_larger_than_a_network_sees_is_not_unpacked(path: Path) -> None:
    content = BytesIO()
    Image.new("L", (8193, 8)).save(content, "JPEG")
    with ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", content.getvalue())

    with pytest.raises(BundleError, match="8193 x 8"):
        KeptPictures(path).read("a")


def test_images_with_the_most_rows_come_first_and_those_without_any_stay_out(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.png" for name in "abcd"}
    for number, file in enumerate(paths.values()):
        write_image(file, _picture(number))
    paths["d"].unlink()
    image = np.array([2, 0, 2, 3, 3, 3], np.int32)
    sources = RowSources(tuple(paths), image, image, image)

    keep_pictures(tmp_path, sources, paths, Preprocessing(image_size=32), limit_mb=1)

    assert KeptPictures(tmp_path / NOMINAL_FILE).names == ("c", "a")
    read = KeptPictures(tmp_path / NOMINAL_FILE).read("c")
    assert read is not None
    assert read.shape == (32, 32, 3)


def test_fit_keeps_pictures_and_can_leave_them_out(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for seed in range(5):
        write_image(tmp_path / "parts" / f"{seed}.png", render_part(seed, size=96).image_rgb)
    options = FitOptions(
        backbone="pcedge-s", preprocessing=Preprocessing(image_size=96), models=tmp_path, name="a", cache_gb=0
    )

    bundle = fit(tmp_path / "parts", options).bundle
    without = fit(tmp_path / "parts", replace(options, name="b", pictures_mb=0)).bundle

    rows = bundle.open_bank().sources
    assert set(KeptPictures(bundle.file(NOMINAL_FILE)).names) == {rows.images[image] for image in rows.image}
    assert bundle.manifest.pictures_mb == 16
    assert not Bundle.open(without.directory).has(NOMINAL_FILE)
