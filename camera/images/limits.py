"""How large an image may be: checked from the header, before memory is taken."""

import os
from dataclasses import dataclass

from pcedge.errors import ImageError, OptionError

MEGAPIXELS_VARIABLE = "PCEDGE_MAX_MEGAPIXELS"


@dataclass(frozen=True)
class ImageLimits:
    """The largest image that is decoded.

    Attributes:
        megapixels: Millions of pixels. At 120, decoding takes less than 1 GB: Pillow keeps 4 bytes a pixel,
            and the result 3.
    """

    megapixels: float = 120

    @classmethod
    def from_environment(cls) -> "ImageLimits":
        """The limits that the operator of this machine set: ``PCEDGE_MAX_MEGAPIXELS``, otherwise the default.

        Raises:
            OptionError: The variable does not hold a positive number.
        """
        text = os.environ.get(MEGAPIXELS_VARIABLE, "")
        if not text:
            return cls()
        try:
            megapixels = float(text)
        except ValueError:
            megapixels = float("nan")
        if not megapixels > 0:
            raise OptionError(
                f"The environment variable {MEGAPIXELS_VARIABLE} is {text!r}, not a number above 0.",
                f"For example: {MEGAPIXELS_VARIABLE}=200",
            )
        return cls(megapixels)

    def check(self, name: str, width: int, height: int) -> None:
        """Refuse an image that is larger.

        Args:
            name: The file, for the message.
            width: In pixels, from the header.
            height: In pixels, from the header.

        Raises:
            ImageError: It is larger.
        """
        megapixels = width * height / 1e6
        if megapixels > self.megapixels:
            raise ImageError(
                f"{name}: has {width} x {height} pixels, {megapixels:.0f} million; "
                f"at most {self.megapixels:g} million are decoded.",
                f"If the file is from a source you trust, and there is memory for 8 bytes a pixel: set "
                f"{MEGAPIXELS_VARIABLE}={megapixels + 1:.0f}",
            )
