"""What a network is tuned to do: two tasks whose answers nominal images give by themselves."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .images import Pictures
from .options import FinetuneMethod
from .views import Masks, Rng, moved, quarter_turns, varied, with_piece

_TEMPERATURE = 0.2
_PROJECTION = 64


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """What a step gets.

    Attributes:
        images: uint8 [n, s, s, 3].
        places: float32 [count, s, s], 1 where each of ``cutmix``'s pieces is; None for ``rotation``.
    """

    pictures: Pictures
    places: Masks | None = None


class Rotation(nn.Module):
    """By how many quarter turns was this image turned? (Gidaris et al. 2018)

    Args:
        channels: Of the maps whose mean over the image is classified.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, 4)

    @staticmethod
    def batch(rng: Rng, pictures: Pictures) -> TaskBatch:
        """Every image in all four turns, each in light of its own."""
        turned = [turn for picture in pictures for turn in quarter_turns(moved(rng, picture))]
        return TaskBatch(np.stack([varied(rng, turn) for turn in turned]))

    @staticmethod
    def chance(pictures: int) -> float:
        """Accuracy of guessing."""
        return 1 / 4

    def forward(self, maps: Tensor, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """Loss, and for each image whether its turn was found, from maps [n, channels, h, w]."""
        logits = self.head(_standardised(maps.mean(dim=(2, 3))))
        answer = torch.arange(len(maps), device=maps.device) % 4
        return functional.cross_entropy(logits, answer), logits.argmax(dim=1) == answer


class CutMix(nn.Module):
    """Which of these places is the same one in other light, and none with a piece pasted in?

    NT-Xent (Chen et al. 2020) of a place in two views of an image, with the places of other images and, as
    extra negatives, the same places where a piece of a nominal image was pasted in (CutMix, Yun et al.
    2019; CutPaste, Li et al. 2021). Places rather than whole images: it is patches that a bank compares.

    Args:
        channels: Of the maps that are averaged over a place and projected.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, _PROJECTION))

    @staticmethod
    def batch(rng: Rng, pictures: Pictures) -> TaskBatch:
        """Two views of every image, then the first of them with a piece pasted in."""
        others = np.roll(np.arange(len(pictures)), int(rng.integers(1, max(len(pictures), 2))))
        clean, otherwise = ([moved(rng, picture) for picture in pictures] for _ in range(2))
        pasted = [
            with_piece(rng, picture, clean[other]) for picture, other in zip(clean, others, strict=True)
        ]
        faulty = [picture for picture, _ in pasted]
        views = [varied(rng, picture) for picture in (*clean, *otherwise, *faulty)]
        return TaskBatch(np.stack(views), np.stack([place for _, place in pasted]))

    @staticmethod
    def chance(pictures: int) -> float:
        """Accuracy of guessing among all other places of a batch."""
        return 1 / (3 * pictures - 1)

    def forward(self, maps: Tensor, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """Loss, and for each clean view whether its twin is the nearest, from maps [3n, channels, h, w]."""
        assert batch.places is not None
        count = len(batch.places)
        places = torch.from_numpy(batch.places)[:, None].to(maps.device)
        shares = functional.adaptive_avg_pool2d(places, (maps.shape[-2], maps.shape[-1])).repeat(3, 1, 1, 1)
        described = (maps * shares).sum(dim=(2, 3)) / shares.sum(dim=(2, 3))
        directions = functional.normalize(self.head(_standardised(described)), dim=1)
        logits = directions[: 2 * count] @ directions.T / _TEMPERATURE
        numbers = torch.arange(2 * count, device=maps.device)
        logits[numbers, numbers] = -torch.inf
        twin = (numbers + count) % (2 * count)
        return functional.cross_entropy(logits, twin), logits.argmax(dim=1) == twin


def _standardised(described: Tensor) -> Tensor:
    """Descriptions [n, channels] with mean 0 and, unless they hardly vary, spread 1 in each channel.

    What nominal images have in common is by far the largest part of their descriptions. A head would spend
    its time on it, and a step that moves all of them alike would throw it off.
    """
    return functional.batch_norm(described, None, None, training=True)


TASKS: dict[FinetuneMethod, type[Rotation] | type[CutMix]] = {"rotation": Rotation, "cutmix": CutMix}
