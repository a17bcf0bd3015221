import pytest
import torch

from pcedge.backbones import load_backbone
from pcedge.filterbank import FilterBank


@pytest.mark.parametrize(
    ("size", "grids"),
    [(224, (28, 14)), (256, (32, 16)), (32, (4, 2)), (100, (13, 7)), (33, (5, 3)), (250, (32, 16))],
)
def test_it_gives_two_layers_at_an_eighth_and_a_sixteenth_of_any_size(
    size: int, grids: tuple[int, int]
) -> None:
    backbone = load_backbone("filterbank")

    fine, coarse = backbone.module(torch.rand(2, 3, size, size))

    assert backbone.layers == ("layer2", "layer3")
    assert fine.shape == (2, 111, grids[0], grids[0])
    assert coarse.shape == (2, 333, grids[1], grids[1])
    assert torch.isfinite(fine).all()
    assert torch.isfinite(coarse).all()


def test_it_is_the_same_every_time() -> None:
    first, second = (load_backbone("filterbank") for _ in range(2))
    images = torch.rand(1, 3, 64, 64)

    assert first.weights_sha256 == second.weights_sha256
    for one, other in zip(first.module(images), second.module(images), strict=True):
        assert torch.equal(one, other)


def test_a_flat_picture_has_colour_and_no_edges() -> None:
    bank = FilterBank()

    features = bank.layer2(torch.full((1, 3, 96, 96), 0.7))[0, :, 4:-4, 4:-4]
    torch.manual_seed(0)
    busy = bank.layer2(torch.rand(1, 3, 96, 96))[0, :, 4:-4, 4:-4]

    assert (features[:-3] < 0.3 * busy[:-3].mean(dim=(1, 2), keepdim=True)).all()
    assert (features.amax(dim=(1, 2)) - features.amin(dim=(1, 2))).max() < 1e-3
    assert features[-3].abs().min() > 0.1


@pytest.mark.parametrize("vertical", [False, True])
def test_the_orientation_of_stripes_shows(vertical: bool) -> None:
    bank = FilterBank()
    wave = torch.sin(torch.arange(64.0) * 2 * torch.pi / 5).expand(64, 64)
    images = (wave if vertical else wave.T).expand(1, 3, 64, 64)

    energies = bank.layer2(images)[0, :12, 3:-3, 3:-3].mean(dim=(1, 2)).reshape(6, 2).sum(dim=1)

    # Filters of orientation 0 vary along x, those of orientation 3 along y.
    assert int(energies.argmax()) == (0 if vertical else 3)
