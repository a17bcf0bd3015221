"""Made-up images: the same for the same seed, and of many kinds."""

import numpy as np
import pytest
import torch

from pcedge.networks.distillation.augmentation import augmented, with_local_change
from pcedge.networks.distillation.batches import Batches, BatchSettings, held_out, stream
from pcedge.networks.distillation.procedural.fields import PATTERNS
from pcedge.networks.distillation.procedural.scenes import render
from pcedge.networks.distillation.sources import Procedural

SIZE = 72
SMALL = BatchSettings(seed=3, size=56, distinct=4, twins=2, pool=6, fresh=2)


@pytest.mark.parametrize("draw", PATTERNS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("seed", range(6))
def test_every_pattern_is_a_finite_field_of_unit_variance(draw, seed: int) -> None:  # type: ignore[no-untyped-def]
    field = draw(np.random.default_rng(seed), SIZE)

    assert field.shape == (SIZE, SIZE)
    assert field.dtype == np.float32
    assert np.isfinite(field).all()
    assert abs(float(field.mean())) < 0.6
    assert 0.4 < float(field.std()) < 1.6 or float(field.std()) == 0


def test_a_picture_follows_from_its_number() -> None:
    series = Procedural(seed=5)

    assert np.array_equal(series.picture(7, SIZE), series.picture(7, SIZE))
    assert not np.array_equal(series.picture(7, SIZE), series.picture(8, SIZE))
    assert not np.array_equal(series.picture(7, SIZE), series.picture(7, SIZE, held_out=True))
    assert not np.array_equal(series.picture(7, SIZE), Procedural(seed=6).picture(7, SIZE))


def test_pictures_are_diverse() -> None:
    pictures = np.stack([render(np.random.default_rng([1, index]), SIZE) for index in range(60)])
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    brightness, contrast = flat.mean(axis=1), flat.std(axis=1)
    colourful = np.ptp(pictures.reshape(len(pictures), -1, 3).mean(axis=1), axis=1)

    assert pictures.dtype == np.uint8
    assert np.percentile(brightness, 90) - np.percentile(brightness, 10) > 70
    assert np.percentile(contrast, 90) > 3 * np.percentile(contrast, 10)
    assert (colourful < 3).any()
    assert (colourful > 40).any()
    assert (contrast > 2).mean() > 0.9  # hardly any is empty


def test_a_twin_differs_in_a_few_places() -> None:
    rng = np.random.default_rng(0)
    picture, other = (render(rng, SIZE) for _ in range(2))
    shares = []
    for _ in range(30):
        cut = augmented(rng, picture, other, 56)
        shares.append(float((with_local_change(rng, cut) != cut).any(axis=2).mean()))

    assert 0 < np.median(shares) < 0.5


def test_batches_are_the_same_from_any_step_on() -> None:
    from_the_start = iter(Batches(Procedural(2), SMALL))
    later = iter(Batches(Procedural(2), SMALL, first_step=3))
    skipped = [next(from_the_start).images for _ in range(3)]

    for _ in range(3):
        expected = next(from_the_start).images
        assert expected.shape == (6, 56, 56, 3)
        assert torch.equal(next(later).images, expected)
    assert not torch.equal(skipped[0], skipped[1])


def test_a_worker_makes_the_same_batches() -> None:
    ahead = stream(Batches(Procedural(2), SMALL), worker=True)
    here = stream(Batches(Procedural(2), SMALL), worker=False)

    assert all(torch.equal(next(ahead).images, next(here).images) for _ in range(3))


def test_held_out_pictures_are_fixed_and_end_with_twins() -> None:
    cuts = held_out(Procedural(2), SMALL, 8)

    assert torch.equal(cuts, held_out(Procedural(2), SMALL, 8))
    assert cuts.shape == (8, 56, 56, 3)
    changed = (cuts[4:] != cuts[:4]).any(dim=3).float().mean(dim=(1, 2))
    assert (changed < 1).all()
