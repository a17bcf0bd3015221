import os
import random
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcedge.camera import list_images, read_image, read_mask, write_image
from pcedge.errors import ImageError, OptionError, OutputError

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
    with pytest.raises(ImageError, match="is a folder"):
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


def test_large_images_are_refused_before_they_are_decoded_and_the_limit_is_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Image.new("1", (40_000, 4_000))
    wide.save(tmp_path / "wide.png")
    before = Image.MAX_IMAGE_PIXELS

    with pytest.raises(ImageError, match=r"40000 x 4000 pixels, 160 million; at most 120") as caught:
        read_image(tmp_path / "wide.png")
    assert "PCEDGE_MAX_MEGAPIXELS=161" in caught.value.hint
    monkeypatch.setenv("PCEDGE_MAX_MEGAPIXELS", "161")
    assert read_image(tmp_path / "wide.png").shape == (4_000, 40_000, 3)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_a_limit_that_is_no_number_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    _flat("L", 7).save(tmp_path / "a.png")
    monkeypatch.setenv("PCEDGE_MAX_MEGAPIXELS", value)

    with pytest.raises(OptionError, match="PCEDGE_MAX_MEGAPIXELS"):
        read_image(tmp_path / "a.png")


def test_a_large_image_is_converted_in_strips_to_the_same_pixels(tmp_path: Path) -> None:
    random = np.random.default_rng(1).integers(0, 256, (3_000, 2_000, 4), np.uint8)
    image = Image.fromarray(random, "CMYK")
    image.save(tmp_path / "large.tif")

    assert np.array_equal(read_image(tmp_path / "large.tif"), np.asarray(image.convert("RGB")))


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        (tmp_path / "device.png").symlink_to("/dev/zero")
        for name in ("pipe.png", "socket.png", "device.png"):
            with pytest.raises(ImageError, match="not an image file"):
                read_image(tmp_path / name)


def test_only_named_formats_are_opened_whatever_the_suffix(tmp_path: Path) -> None:
    _flat("RGB", RED).save(tmp_path / "page.eps")
    (tmp_path / "page.eps").rename(tmp_path / "part.png")
    _flat("RGB", RED).save(tmp_path / "icon.ico")
    (tmp_path / "icon.ico").rename(tmp_path / "part.jpg")

    for name in ("part.png", "part.jpg"):
        with pytest.raises(ImageError, match="is not an image, or is damaged"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "kind", "tolerance"),
    [
        ("a.jfif", "JPEG", 3),
        ("a.jpe", "JPEG", 3),
        ("a.JP2", "JPEG2000", 0),
        ("a.gif", "GIF", 0),
        ("a.avif", "AVIF", 4),
        ("a.heic", "AVIF", 4),
        ("a.pnm", "PPM", 0),
        ("a.png", "JPEG", 3),
    ],
)
def test_more_file_forms_are_read(tmp_path: Path, name: str, kind: str, tolerance: int) -> None:
    Image.new("RGB", (64, 48), GREY).save(tmp_path / name, kind)

    assert list_images(tmp_path) == [tmp_path / name]
    assert np.abs(read_image(tmp_path / name).astype(int) - 77).max() <= tolerance


def test_a_file_that_would_need_a_decoder_that_is_not_here_names_it(tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))

    with pytest.raises(ImageError, match="HEIC") as caught:
        read_image(tmp_path / "phone.heic")
    assert "pip install pillow-heif" in caught.value.hint


def test_sixteen_bits_of_a_pgm_keep_their_upper_eight(tmp_path: Path) -> None:
    values = np.array([[0, 255], [256, 65535]], ">u2")
    (tmp_path / "deep.pgm").write_bytes(b"P5 2 2 65535\n" + values.tobytes())

    assert read_image(tmp_path / "deep.pgm")[:, :, 0].tolist() == [[0, 0], [1, 255]]


@pytest.mark.parametrize("name", ["pages.tif", "frames.gif", "frames.png", "frames.webp"])
def test_a_file_of_several_pages_is_refused_since_the_others_would_not_be_looked_at(
    tmp_path: Path, name: str
) -> None:
    pages = [_flat("RGB", colour) for colour in (RED, GREY)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])

    with pytest.raises(ImageError, match="several pages"):
        read_image(tmp_path / name)


def test_a_thumbnail_is_no_page(tmp_path: Path) -> None:
    thumbnail = _flat("RGB", GREY)
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    _flat("RGB", RED).save(tmp_path / "one.tif", save_all=True, append_images=[thumbnail])

    assert (read_image(tmp_path / "one.tif") == RED).all()


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
    names = ["10.png", "9.PNG", "a2.jpg", "a10.jpg", "B1.tiff", "lid.part.0001.png"]
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
        "lid.part.0001.png",
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
