"""The image encoders that can be backbones, beside torchvision's networks: CLIP's and DINOv2's.

Which layers: a transformer's blocks all have one grid. Of the four evenly spaced taps that dense prediction
takes from it (Ranftl et al. 2021, DPT: blocks 3, 6, 9, 12 of 12; for anomaly maps Chen et al. 2023,
APRIL-GAN: 6, 12, 18, 24 of 24), the two inner ones are used: like layer2 and layer3 in PatchCore (section
3.1), neither the first, which has seen little of the surroundings, nor the last, which is bent to the
pretraining's task.
"""

from dataclasses import dataclass, replace
from typing import Literal

from pcedge.core.preprocessing import IMAGENET_MEAN, IMAGENET_STD, MIN_INPUT_SIZE, Preprocessing
from pcedge.errors import OptionError

Family = Literal["clip-resnet", "clip-vit", "dinov2"]
_RGB = tuple[float, float, float]

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class Encoder:
    """An image encoder with the weights that its name stands for.

    Attributes:
        name: As ``--backbone`` takes it.
        family: What kind of network it is.
        architecture: Its name in the library that builds it: open_clip for CLIP, timm for DINOv2.
        repository: Of its weights on the Hugging Face hub.
        files: Names of their file there, the preferred one first.
        mean: That its images are normalised with, per channel (R, G, B), on the scale 0 to 1.
        std: The same.
        patch: Side of a transformer's patch in pixels; 1 for a ResNet, which takes any size.
        depth: A transformer's blocks; 0 for a ResNet.
    """

    name: str
    family: Family
    architecture: str
    repository: str
    files: tuple[str, ...]
    mean: _RGB
    std: _RGB
    patch: int = 1
    depth: int = 0

    @property
    def all_layers(self) -> tuple[str, ...]:
        """Its layers under the library's own names, in order."""
        if self.family == "clip-resnet":
            return ("layer1", "layer2", "layer3", "layer4")
        prefix = "blocks" if self.family == "dinov2" else "transformer.resblocks"
        return tuple(f"{prefix}.{number}" for number in range(self.depth))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """PatchCore's layer2 and layer3, or the blocks at half and at three quarters of the depth."""
        if self.family == "clip-resnet":
            return ("layer2", "layer3")
        return self.all_layers[self.depth // 2 - 1], self.all_layers[3 * self.depth // 4 - 1]

    def prepare(self, preprocessing: Preprocessing) -> Preprocessing:
        """The same preprocessing with this encoder's normalisation in the place of ImageNet's.

        Raises:
            OptionError: The input is no whole number of patches.
        """
        self.check_size(preprocessing.input_size)
        if (preprocessing.mean, preprocessing.std) != (IMAGENET_MEAN, IMAGENET_STD):
            return preprocessing
        return replace(preprocessing, mean=self.mean, std=self.std)

    def check_size(self, input_size: int) -> None:
        """Refuse a network input that is no whole number of patches.

        Raises:
            OptionError: With the nearest sizes that fit.
        """
        if input_size % self.patch == 0:
            return
        below = input_size // self.patch * self.patch
        fits = [size for size in (below, below + self.patch) if size >= MIN_INPUT_SIZE]
        raise OptionError(
            f"{self.name} takes patches of {self.patch} x {self.patch} px, and {input_size} px is no whole "
            "number of them.",
            f"Choose --image-size {' or '.join(map(str, fits))} (with a crop: --crop).",
        )


def _clip_resnet(name: str, architecture: str, repository: str) -> Encoder:
    return Encoder(
        name=f"clip-{name}",
        family="clip-resnet",
        architecture=architecture,
        repository=f"timm/{repository}.openai",
        files=_OPEN_CLIP_FILES,
        mean=_CLIP_MEAN,
        std=_CLIP_STD,
    )


def _clip_vit(
    name: str,
    architecture: str,
    repository: str,
    patch: int,
    depth: int,
    *,
    mean: _RGB = _CLIP_MEAN,
    std: _RGB = _CLIP_STD,
) -> Encoder:
    return Encoder(
        name=name,
        family="clip-vit",
        architecture=architecture,
        repository=repository,
        files=_OPEN_CLIP_FILES,
        mean=mean,
        std=std,
        patch=patch,
        depth=depth,
    )


def _dinov2(name: str, size: str, depth: int, registers: str = "") -> Encoder:
    architecture = f"vit_{size}_patch14{registers}_dinov2"
    return Encoder(
        name=f"dinov2-{name}",
        family="dinov2",
        architecture=architecture,
        repository=f"timm/{architecture}.lvd142m",
        files=("model.safetensors",),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        patch=14,
        depth=depth,
    )


# None larger: a truncated ViT-H or ViT-g passes the 2 GB that an ONNX file may have.
# OpenAI's weights were trained with QuickGELU, LAION's with GELU: weights of one in the network of the other
# would load and give slightly wrong features.
_ALL = (
    _clip_resnet("rn50", "RN50", "resnet50_clip"),
    _clip_resnet("rn101", "RN101", "resnet101_clip"),
    _clip_resnet("rn50x4", "RN50x4", "resnet50x4_clip"),
    _clip_resnet("rn50x16", "RN50x16", "resnet50x16_clip"),
    _clip_resnet("rn50x64", "RN50x64", "resnet50x64_clip"),
    _clip_vit("clip-vit-b-32", "ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai", 32, 12),
    _clip_vit("clip-vit-b-16", "ViT-B-16-quickgelu", "timm/vit_base_patch16_clip_224.openai", 16, 12),
    _clip_vit("clip-vit-l-14", "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", 14, 24),
    _clip_vit(
        "clip-vit-l-14-336", "ViT-L-14-336-quickgelu", "timm/vit_large_patch14_clip_336.openai", 14, 24
    ),
    _clip_vit("clip-laion-vit-b-32", "ViT-B-32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 32, 12),
    _clip_vit("clip-laion-vit-b-16", "ViT-B-16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", 16, 12),
    _clip_vit(
        "clip-laion-vit-l-14",
        "ViT-L-14",
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        14,
        24,
        mean=_HALF,
        std=_HALF,
    ),
    _dinov2("s", "small", 12),
    _dinov2("b", "base", 12),
    _dinov2("l", "large", 24),
    _dinov2("s-reg", "small", 12, "_reg4"),
    _dinov2("b-reg", "base", 12, "_reg4"),
    _dinov2("l-reg", "large", 24, "_reg4"),
)
ENCODERS = {encoder.name: encoder for encoder in _ALL}
