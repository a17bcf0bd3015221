"""PaDiM's network: images to the Mahalanobis distance at every position."""

import torch
from torch import Tensor, nn

from pcedge.methods.networks.pyramid import Pyramid


class MahalanobisNetwork(nn.Module):
    """Computes the distance of the features at every position from its Gaussian.

    Args:
        pyramid: Images [n, 3, s, s] to features [n, positions, dims].
        mean: float32 [positions, dims].
        whitening: float32 [positions, dims, dims].
    """

    def __init__(self, pyramid: Pyramid, mean: Tensor, whitening: Tensor) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("whitening", whitening, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to Mahalanobis distances [n, positions, 1]."""
        # Positions first: each matrix is read once for the whole batch.
        centred = (self.pyramid(images) - self.mean).transpose(0, 1)
        lengths: Tensor = torch.linalg.vector_norm(torch.bmm(centred, self.whitening), dim=2, keepdim=True)
        return lengths.transpose(0, 1)
