"""Image files: one decoder for the whole project, its formats and limits, and atomic writes.

Everything that learns from, measures or judges an image file reads it here, so that the pixels are the same
everywhere.
"""

from .decoding import image_header
from .formats import IMAGE_SUFFIXES, is_image_name
from .limits import ImageLimits
from .listing import list_images, natural_key, why_no_image
from .reading import RawMask, read_image, read_mask, read_raw_mask
from .writing import write_image

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageLimits",
    "RawMask",
    "image_header",
    "is_image_name",
    "list_images",
    "natural_key",
    "read_image",
    "read_mask",
    "read_raw_mask",
    "why_no_image",
    "write_image",
]
