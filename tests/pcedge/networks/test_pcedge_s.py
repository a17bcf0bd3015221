"""The compact network: its grid, its context, and that folding the batch norms changes nothing."""

import pytest
import torch

from pcedge.networks.pcedge_s import COMPACT_DIMS, CompactNet, folded


@pytest.fixture
def trained() -> CompactNet:
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    network = CompactNet(folded=False).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 64, 64) * 2 + 1)
    return network.eval()


@pytest.mark.parametrize("size", [64, 224, 320])
def test_descriptors_have_stride_eight(size: int) -> None:
    with torch.inference_mode():
        described = CompactNet().eval()(torch.zeros(2, 3, size, size))

    assert described.shape == (2, COMPACT_DIMS, size // 8, size // 8)


@pytest.mark.parametrize("size", [100, 225])
def test_any_size_is_accepted(size: int) -> None:
    with torch.inference_mode():
        described = CompactNet().eval()(torch.zeros(1, 3, size, size))

    assert described.shape[-1] == -(-size // 8)


def test_folding_the_batch_norms_changes_nothing(trained: CompactNet) -> None:
    images = torch.randn(2, 3, 96, 96)

    with torch.inference_mode():
        expected, found = trained(images), folded(trained)(images)

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded(trained).modules())


def test_it_is_small() -> None:
    assert sum(value.numel() for value in CompactNet().parameters()) < 1_900_000


def test_a_descriptor_sees_about_two_hundred_pixels(trained: CompactNet) -> None:
    images = torch.randn(1, 3, 320, 320, requires_grad=True)

    trained(images)[0, :, 20, 20].sum().backward()

    assert images.grad is not None
    seen = images.grad.abs().sum(dim=(0, 1)).nonzero()
    extent = seen.amax(dim=0) - seen.amin(dim=0) + 1
    assert ((extent >= 180) & (extent <= 280)).all(), extent
