"""Choice of held-out images: folds, splits, and the check that there are enough."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .conformal import Rates, images_needed

# Images held out by a split: enough for false-reject rates down to 0.5 %.
_MOST_HELD, _HELD_SHARE = 200, 1 / 3
# ``folds``: every image is scored against a bank made without its fold. ``split``: some images are held out
# of the bank permanently. ``leave-one-out``: every image is scored against the bank's rows of other images.
CalibrationKind = Literal["folds", "split", "leave-one-out"]


def deal_folds(groups: Sequence[str], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Assign images to folds; a group stays in one fold.

    Args:
        groups: The group of each image.
        folds: Maximum number of folds; never more than groups.
        seed: Random seed of the assignment.

    Returns:
        Image indices of each fold.
    """
    number, members = _members(groups)
    shuffled = np.random.default_rng(seed).permutation(number)
    return [
        np.concatenate([members[group] for group in dealt])
        for dealt in np.array_split(shuffled, min(folds, number))
    ]


def choose_held(groups: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """Image indices of randomly chosen groups, in order."""
    number, members = _members(groups)
    chosen = np.random.default_rng(seed).choice(number, count, replace=False)
    return np.sort(np.concatenate([members[group] for group in chosen]))


def held_count(units: int, rates: Rates) -> int:
    """Number of images, or groups, that a split holds out: a third, up to half if needed."""
    asked = rates.false_reject or rates.review
    needed = images_needed(asked) if asked else 0
    return max(1, min(max(min(_MOST_HELD, round(units * _HELD_SHARE)), needed), units // 2))


def check_support(
    rates: Rates, units: int, calibration: CalibrationKind, *, grouped: bool, without: str = ""
) -> None:
    """Check that this number of images, or groups, supports the requested rates.

    Args:
        rates: The requested rates.
        units: Number of good images, or groups.
        calibration: How images are held out.
        grouped: Whether they are groups.
        without: What was left out, for the error message.

    Raises:
        OptionError: There are too few.
    """
    called = ("groups of good images" if grouped else "good images") + without
    if calibration != "split":
        rates.check(units, called=called)
        return
    held = held_count(units, rates)
    rates.check(
        held,
        called=f"{called}, held out of {units},",
        remedy="Add good images, up to half of which are held out, or use --calibration folds",
    )


def _members(groups: Sequence[str]) -> tuple[int, list[NDArray[np.int64]]]:
    """The members of each group, groups in order of their first image."""
    images: dict[str, list[int]] = {}
    for image, group in enumerate(groups):
        images.setdefault(group, []).append(image)
    return len(images), [np.array(members, np.int64) for members in images.values()]
