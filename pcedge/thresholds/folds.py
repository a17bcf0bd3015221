"""Which images a bank is made without, so that their scores say what new good parts will score."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .conformal import Rates, images_needed

# Kept from the bank by a split: enough for false-reject rates down to 0.5 %.
_MOST_HELD, _HELD_SHARE = 200, 1 / 3
# ``folds``: every image is scored, against a bank made without its fold. ``split``: some images are kept from
# the bank for good.
CalibrationKind = Literal["folds", "split"]


def deal_folds(groups: Sequence[str], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Deal images to folds, those of a group to one and the same.

    Args:
        groups: The group of each image.
        folds: At most; never more than groups.
        seed: Of the deal.

    Returns:
        The numbers of each fold's images.
    """
    number, members = _members(groups)
    shuffled = np.random.default_rng(seed).permutation(number)
    return [
        np.concatenate([members[group] for group in dealt])
        for dealt in np.array_split(shuffled, min(folds, number))
    ]


def choose_held(groups: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the images of so many groups, chosen at random, in order."""
    number, members = _members(groups)
    chosen = np.random.default_rng(seed).choice(number, count, replace=False)
    return np.sort(np.concatenate([members[group] for group in chosen]))


def held_count(units: int, rates: Rates) -> int:
    """How many images, or groups of them, a split keeps from the bank: a third, up to half where it must."""
    asked = rates.false_reject or rates.review
    needed = images_needed(asked) if asked else 0
    return max(1, min(max(min(_MOST_HELD, round(units * _HELD_SHARE)), needed), units // 2))


def check_support(
    rates: Rates, units: int, calibration: CalibrationKind, *, grouped: bool, without: str = ""
) -> None:
    """Check that so many images, or groups of them, support the rates asked for.

    Args:
        rates: What was asked for.
        units: How many good images, or groups of them, there are.
        calibration: How they are held out.
        grouped: Whether they are groups.
        without: What was left out, for the error.

    Raises:
        OptionError: They do not.
    """
    called = ("groups of good images" if grouped else "good images") + without
    if calibration == "folds":
        rates.check(units, called=called)
        return
    held = held_count(units, rates)
    rates.check(
        held,
        called=f"{called}, held out of {units},",
        remedy="Add good images, up to half of which are held out, or use --calibration folds",
    )


def _members(groups: Sequence[str]) -> tuple[int, list[NDArray[np.int64]]]:
    """How many groups there are, in order of their first image, and each one's images."""
    images: dict[str, list[int]] = {}
    for image, group in enumerate(groups):
        images.setdefault(group, []).append(image)
    return len(images), [np.array(members, np.int64) for members in images.values()]
