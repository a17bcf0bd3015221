"""Preprocessing: image to network input, and anomaly map coordinates back to the image.

Images are resized only here, outside the exported graph, because neither ONNX nor TensorRT has an antialiased
resize. Pillow does it, as in the reference implementation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

IMPLEMENTATION = "pillow-bilinear-antialiased"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MIN_INPUT_SIZE = 32
MAX_IMAGE_SIZE = 4096


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input.

    Attributes:
        image_size: Without a crop, the image is resized to ``image_size`` x ``image_size`` and nothing is cut
            off. With a crop, its shorter side is resized to ``image_size`` and the aspect ratio is kept.
        crop: Side in pixels of the square cut from the centre afterwards, or None.
        mean: Per channel (R, G, B), on the scale 0 to 1.
        std: Per channel (R, G, B), on the scale 0 to 1.
        implementation: Name of the resize implementation; a bundle made with another one is refused.
    """

    image_size: int = 224
    crop: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    implementation: str = IMPLEMENTATION

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop > self.image_size:
            raise OptionError(
                f"The crop of {self.crop} px is larger than the resized image ({self.image_size} px).",
                "Choose a --crop no larger than --image-size.",
            )
        if self.image_size > MAX_IMAGE_SIZE:
            raise OptionError(
                f"An image size of {self.image_size} px is too large.",
                f"Choose --image-size of at most {MAX_IMAGE_SIZE}.",
            )
        if self.input_size < MIN_INPUT_SIZE:
            raise OptionError(
                f"A network input of {self.input_size} px is too small.",
                f"Choose --image-size and --crop of at least {MIN_INPUT_SIZE}.",
            )
        if self.implementation != IMPLEMENTATION:
            raise OptionError(
                f"Unknown resize implementation {self.implementation!r}.",
                f"This version has {IMPLEMENTATION!r}: fit the bundle again.",
            )

    @property
    def input_size(self) -> int:
        """Side in pixels of the network's square input, and of the anomaly map."""
        return self.image_size if self.crop is None else self.crop

    def apply(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn an image (uint8 [height, width, 3]) into float32 [3, input_size, input_size]."""
        scale = 1.0 / (255.0 * np.asarray(self.std, np.float32))
        offset = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        normalised = self.seen(image_rgb) * scale - offset
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def apply_to_mask(self, mask_hw: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Resize a ground-truth mask (0 or 255) to the pixels of the map.

        As in the reference implementation, a mask is resized like the image, and only pixels that are still
        wholly defect count. Returns bool [input_size, input_size].
        """
        defect: NDArray[np.bool_] = self.seen(mask_hw) == 255
        return defect

    def seen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the network sees of an image (uint8 [height, width] or [.., .., 3]), at its input size."""
        from PIL import Image

        height, width = image.shape[:2]
        resized_w, resized_h = self._resized_wh(width, height)
        resized = np.asarray(Image.fromarray(image).resize((resized_w, resized_h), Image.Resampling.BILINEAR))
        left, top = self._crop_origin(resized_w, resized_h)
        return resized[top : top + self.input_size, left : left + self.input_size]

    def map_to_picture(self, width: int, height: int) -> NDArray[np.float64]:
        """Affine map [2, 3] from pixel centres (x, y) of the anomaly map to those of the image."""
        resized_w, resized_h = self._resized_wh(width, height)
        left, top = self._crop_origin(resized_w, resized_h)
        scale_x, scale_y = width / resized_w, height / resized_h
        return np.array(
            [
                [scale_x, 0.0, (left + 0.5) * scale_x - 0.5],
                [0.0, scale_y, (top + 0.5) * scale_y - 0.5],
            ]
        )

    def _resized_wh(self, width: int, height: int) -> tuple[int, int]:
        if self.crop is None:
            return self.image_size, self.image_size
        if width <= height:
            return self.image_size, int(self.image_size * height / width)
        return int(self.image_size * width / height), self.image_size

    def _crop_origin(self, resized_w: int, resized_h: int) -> tuple[int, int]:
        return round((resized_w - self.input_size) / 2), round((resized_h - self.input_size) / 2)


PRESETS = {
    "whole": Preprocessing(image_size=224),
    "official-224": Preprocessing(image_size=256, crop=224),
    "official-320": Preprocessing(image_size=366, crop=320),
}
