"""Which images are held out together, and whether so few of them support what was asked for."""

import re

import numpy as np
import pytest

from pcedge.errors import OptionError
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.folds import check_support, choose_held, deal_folds, held_count
from pcedge.thresholds.groups import find_groups

NAMES = ("train/good/monday/1.png", "train/good/monday/2.png", "train/good/friday/batch7_1.png")


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (None, NAMES),
        ("folder", ("train/good/monday", "train/good/monday", "train/good/friday")),
        (r"good/(\w+)/", ("monday", "monday", "friday")),
        (r"good/(\w+)/(batch\d)?", ("monday/", "monday/", "friday/batch7")),
        (r"mon|fri", ("mon", "mon", "fri")),
    ],
)
def test_groups_are_read_from_names(groups: str | None, found: tuple[str, ...]) -> None:
    assert find_groups(NAMES, groups) == found


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ("(", "neither 'folder' nor a regular expression"),
        (r"batch(\d)", r"--groups 'batch(\d)' does not occur in 'train/good/monday/1.png'"),
        ("good", "all 3 images into one group"),
    ],
)
def test_groups_that_say_nothing_are_errors(groups: str, what: str) -> None:
    with pytest.raises(OptionError, match=re.escape(what)):
        find_groups(NAMES, groups)


def test_no_group_is_split_over_folds() -> None:
    groups = [f"{image % 7}" for image in range(50)]

    folds = deal_folds(groups, 3, seed=1)

    assert sorted(np.concatenate(folds)) == list(range(50))
    of_fold = [{groups[image] for image in fold} for fold in folds]
    assert [len(names) for names in of_fold] == [3, 2, 2]
    assert set.union(*of_fold) == set(groups)
    assert len(deal_folds(groups, 9, seed=1)) == 7


def test_a_split_holds_whole_groups_out() -> None:
    groups = [f"{image % 7}" for image in range(50)]

    held = choose_held(groups, 2, seed=0)

    names = {groups[image] for image in held}
    assert len(names) == 2
    assert held.tolist() == [image for image in range(50) if groups[image] in names]


@pytest.mark.parametrize(
    ("units", "rates", "count"),
    [
        (90, Rates(), 30),
        (3000, Rates(), 200),
        (210, Rates(0.01), 99),
        (150, Rates(0.01), 75),
        (3000, Rates(0.001), 999),
        (3, Rates(), 1),
        (60, Rates(None, 0.04), 24),
    ],
)
def test_a_split_holds_out_a_third_or_what_the_rate_takes(units: int, rates: Rates, count: int) -> None:
    assert held_count(units, rates) == count


def test_what_cannot_be_supported_is_said_with_the_number_it_takes() -> None:
    check_support(Rates(0.01), 198, "split", grouped=False)
    with pytest.raises(OptionError, match=r"75 good images, held out of 150, .*at least 99"):
        check_support(Rates(0.01), 150, "split", grouped=False)
    with pytest.raises(OptionError, match=r"12 groups of good images \(without 1\) .*at least 19"):
        check_support(Rates(0.05), 12, "folds", grouped=True, without=" (without 1)")
