import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcedge.camera import list_images, read_image, read_mask, write_image
from pcedge.errors import ImageError, OutputError

RED, GREY = (200, 10, 20), (77, 77, 77)


def _flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (6, 4), colour)  # type: ignore[arg-type]


def _palette() -> Image.Image:
    image = _flat("RGB", RED).quantize(4)
    image.info["transparency"] = b"\x00\x80"
    return image


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("rgb.png", _flat("RGB", RED), RED),
        ("grey.png", _flat("L", 77), GREY),
        ("palette.png", _palette(), RED),
        ("rgba.png", _flat("RGBA", (*RED, 0)), RED),
        ("la.png", _flat("LA", (77, 3)), GREY),
        ("bilevel.png", _flat("1", 1), (255, 255, 255)),
        ("wide.png", _flat("I;16", 77 * 256 + 99), GREY),
        ("wide.tif", _flat("I;16", 77 * 256 + 99), GREY),
        ("cmyk.tif", _flat("CMYK", (0, 255, 255, 0)), (255, 0, 0)),
        ("rgb.bmp", _flat("RGB", RED), RED),
        ("rgb.webp", _flat("RGB", (255, 255, 255)), (255, 255, 255)),
    ],
)
def test_every_colour_mode_becomes_rgb(
    tmp_path: Path, name: str, image: Image.Image, expected: tuple[int, int, int]
) -> None:
    image.save(tmp_path / name)

    read = read_image(tmp_path / name)

    assert read.dtype == np.uint8
    assert read.shape == (4, 6, 3)
    assert read.flags.writeable
    assert (read == expected).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_as_exif_says(tmp_path: Path, orientation: int) -> None:
    upright = np.arange(24, dtype=np.uint8).reshape(4, 6)
    turns: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.T, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright)))
    stored.save(tmp_path / "turned.png", exif=exif)

    assert np.array_equal(read_image(tmp_path / "turned.png")[:, :, 0], upright)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, mode: str) -> None:
    _flat(mode, 7).save(tmp_path / "deep.tif")

    with pytest.raises(ImageError, match=rf"deep\.tif: has 32-bit pixels \(mode {mode}\)"):
        read_image(tmp_path / "deep.tif")


def _photo(path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, fraction: float) -> None:
    path = tmp_path / f"cut{suffix}"
    data = _photo(path)
    path.write_bytes(data[: int(len(data) * fraction)])

    with pytest.raises(ImageError, match=f"cut{suffix}: "):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not an image at all", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "PNG|image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "odd.png").write_bytes(content)

    with pytest.raises(ImageError, match=f"odd.png: .*({reason})"):
        read_image(tmp_path / "odd.png")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png: does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be listed"):
        list_images(tmp_path / "none")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
def test_damaged_bytes_give_a_picture_or_an_image_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"hit{suffix}"
    data = _photo(path)
    dice = random.Random(suffix)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(8):
            damaged[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        path.write_bytes(damaged)
        with suppress(ImageError):
            assert read_image(path).ndim == 3


@pytest.mark.parametrize("times", [1.5, 3])
def test_decompression_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float
) -> None:
    _flat("L", 7).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(24 / times))

    with pytest.raises(ImageError, match=r"bomb\.png: .*decompression bomb"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("mode", "marked"),
    [
        ("L", 255),
        ("L", 1),
        ("1", 1),
        ("RGB", (0, 0, 9)),
        ("RGBA", (9, 0, 0, 0)),
        ("I;16", 1),
        ("I", 1),
    ],
)
def test_masks_are_255_where_the_file_is_not_black(tmp_path: Path, mode: str, marked: object) -> None:
    image = Image.new(mode, (6, 4))
    image.putpixel((5, 1), marked)  # type: ignore[arg-type]
    image.save(tmp_path / "mask.tif")

    mask = read_mask(tmp_path / "mask.tif")

    assert mask.dtype == np.uint8
    assert mask.shape == (4, 6)
    assert np.argwhere(mask == 255).tolist() == [[1, 5]]
    assert int(mask.sum()) == 255


def test_images_are_listed_in_natural_order_without_hidden_and_unfinished_ones(
    tmp_path: Path,
) -> None:
    names = ["10.png", "9.PNG", "a2.jpg", "a10.jpg", "B1.tiff"]
    others = [".hidden.png", "a.png.part", "b.tmp.png", "notes.txt", "png", "7.png.tmp"]
    for name in names + others:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()

    assert [path.name for path in list_images(tmp_path)] == [
        "9.PNG",
        "10.png",
        "a2.jpg",
        "a10.jpg",
        "B1.tiff",
    ]


@pytest.mark.parametrize(("name", "tolerance"), [("a.png", 0), ("a.jpg", 6), ("a.JPEG", 6)])
def test_a_written_picture_reads_back_and_leaves_nothing_else(
    tmp_path: Path, name: str, tolerance: int
) -> None:
    picture = np.zeros((40, 64, 3), np.uint8)
    picture[:, :, 0], picture[:, :, 2] = 200, np.linspace(0, 120, 64)

    write_image(tmp_path / name, picture)

    read = read_image(tmp_path / name).astype(int)
    assert np.abs(read - picture).max() <= tolerance
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "picture", "message"),
    [
        ("a.gif", np.zeros((4, 4, 3), np.uint8), "file format cannot be written"),
        ("a.png", np.zeros((4, 4), np.uint8), "not an RGB image"),
        ("a.png", np.zeros((4, 4, 3), np.float32), "not an RGB image"),
        ("none/a.png", np.zeros((4, 4, 3), np.uint8), "cannot be written: No such file"),
        ("a.png", np.zeros((0, 4, 3), np.uint8), "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_an_output_error(
    tmp_path: Path, name: str, picture: NDArray[np.uint8], message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        write_image(tmp_path / name, picture)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_by_a_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()

    with pytest.raises(OutputError, match=r"a\.png: cannot be written: Is a directory"):
        write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((4, 4, 3), 9, np.uint8))

    with pytest.raises(OutputError):
        write_image(tmp_path / "a.png", np.zeros((0, 4, 3), np.uint8))

    assert (read_image(tmp_path / "a.png") == 9).all()


def test_a_disk_without_room_is_an_output_error(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    with no_room(), pytest.raises(OutputError, match=r"a\.png: cannot be written: File too large"):
        write_image(tmp_path / "a.png", np.zeros((2000, 2000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
