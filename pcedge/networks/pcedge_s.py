"""``pcedge-s``: the compact patch-descriptor network that ships with the package.

It imitates the aggregated layer2 and layer3 features of a pretrained network (see
``pcedge.networks.distillation``) at about a quarter of ResNet-18's time. Plain convolutions and ReLU, whose
batch norms are folded into the convolutions once training is done: what ONNX Runtime, TensorRT and int8 run
best.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

COMPACT_LAYERS = ("descriptors",)
# Principal components of the teacher's embedding that the network imitates.
COMPACT_DIMS = 128
_WIDTHS = (32, 96, 128)


class CompactNet(nn.Module):
    """Images [n, 3, s, s] to descriptors [n, dims, s / 8, s / 8], each of about 210 pixels of context.

    Details come from the level at stride 8, context from a cheap level at stride 16, enlarged and added.

    Args:
        dims: Channels of the output.
        folded: Whether the convolutions carry the batch norms already, as in the shipped weights.
    """

    def __init__(self, dims: int = COMPACT_DIMS, *, folded: bool = True) -> None:
        super().__init__()
        shallow, middle, deep = _WIDTHS
        # Stride 4 at once: at full resolution the convolutions wait for memory instead of computing.
        self.stem = _Conv(3, shallow, kernel=7, stride=4, folded=folded)
        self.stage1 = _Residual(shallow, folded=folded)
        self.down2 = _Conv(shallow, middle, stride=2, folded=folded)
        self.stage2 = _Residual(middle, folded=folded)
        self.down3 = _Conv(middle, deep, stride=2, folded=folded)
        self.stage3 = nn.Sequential(_Residual(deep, folded=folded), _Residual(deep, folded=folded))
        self.detail = nn.Conv2d(middle, dims, 1)
        self.context = nn.Conv2d(deep, dims, 1)
        self.descriptors = _Sum()
        for head in (self.detail, self.context):  # start near the mean of all targets, which is 0
            nn.init.normal_(head.weight, std=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Return the descriptors."""
        fine = self.stage2(self.down2(self.stage1(self.stem(images))))
        coarse = self.stage3(self.down3(fine))
        described: Tensor = self.descriptors(self.detail(fine), self.context(coarse))
        return described


class CompactExtractor(CompactNet):
    """The network as a backbone: a map from its layer's name to the descriptors.

    What torchvision's feature extractor makes of it, without torchvision, whose import takes seconds.
    """

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the descriptors by their layer's name."""
        [layer] = COMPACT_LAYERS
        return {layer: super().forward(images)}


def folded(network: CompactNet) -> CompactNet:
    """The same function without batch norms, in float32 and evaluation mode."""
    plain = CompactNet(network.detail.out_channels)
    state: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, module in network.eval().named_modules():
            if isinstance(module, _Conv) and module.norm is not None:
                state |= _prefixed(f"{name}.conv", fuse_conv_bn_eval(module.conv, module.norm).state_dict())
            elif isinstance(module, nn.Conv2d) and not name.endswith(".conv"):
                state |= _prefixed(name, module.state_dict())
    plain.load_state_dict(state, strict=True)
    return plain.eval().requires_grad_(False)


class _Conv(nn.Module):
    """Convolution that keeps the grid (up to its stride), batch norm while training, ReLU on demand."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
        folded: bool,
    ) -> None:
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=folded)
        self.norm = None if folded else nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        convolved: Tensor = self.conv(features)
        if self.norm is not None:
            convolved = self.norm(convolved)
        return functional.relu(convolved) if self.relu else convolved


class _Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int, *, folded: bool) -> None:
        super().__init__()
        self.first = _Conv(channels, channels, folded=folded)
        self.second = _Conv(channels, channels, relu=False, folded=folded)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.second(self.first(features)))


class _Sum(nn.Module):
    """The sum of two maps on the grid of the first; a module so that the result has a name."""

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + functional.interpolate(
            coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False
        )


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in state.items()}
