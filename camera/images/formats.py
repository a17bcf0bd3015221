"""The file formats that are opened, and no others.

Pillow opens more than forty. Some start other programs (PostScript starts Ghostscript), many are hardly used
or tested, and a file's name says nothing of its content. So the formats are named: those that cameras, phones
and image tools write, each decoded inside this process.
"""

from pathlib import Path

# Pillow's name of a format, and the suffixes under which it is found.
_FORMATS: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k"),
    "PNG": (".png",),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
# Decoded where the package pillow-heif is installed; its codec has a licence of its own.
HEIF_FORMAT = "HEIF"
HEIF_SUFFIXES = frozenset({".heic", ".heif"})

TEMPORARY_SUFFIXES = frozenset({".part", ".tmp"})

FORMATS = tuple(_FORMATS)
IMAGE_SUFFIXES = frozenset(suffix for suffixes in _FORMATS.values() for suffix in suffixes) | HEIF_SUFFIXES


def is_image_name(name: str) -> bool:
    """Whether ``name`` is the name of a complete image: a known suffix, not hidden, not temporary.

    Temporary is what ends like it, before the suffix or after: ``lid.tmp.png``, ``lid.png.part``. The name
    ``lid.part.0001.png`` is that of an image of a part.
    """
    path = Path(name)
    temporary = Path(path.stem).suffix.lower() in TEMPORARY_SUFFIXES
    return not name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES and not temporary
