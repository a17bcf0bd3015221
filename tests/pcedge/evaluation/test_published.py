"""Parity with published results: the tolerances as stated, and nothing compared that was not published."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pcedge.errors import OptionError, ResultError
from pcedge.evaluation.runs import RecordedMetric, Run
from pcedge.fitting.presets import PRESETS, find_preset
from pcedge.studies.suite import Published, differences, means, paper_means, published_for, read_results

PUBLISHED = Published(
    "someone", {"a": {"image_auroc": 99.0}, "b": {"image_auroc": 97.0, "pixel_auroc": 98.0}}
)


Having = Callable[..., Run]


@pytest.fixture
def having(make_run: Callable[..., Run]) -> Having:
    """A run with these metrics."""

    def having(name: str, **values: float | None) -> Run:
        return make_run(
            name=name, metrics={metric: RecordedMetric(value=value) for metric, value in values.items()}
        )

    return having


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        (0.990, 0.970, {"a": True, "b": True, "mean": True}),
        (0.975, 0.985, {"a": True, "b": True, "mean": True}),  # at the tolerance, either way
        (0.974, 0.985, {"a": False, "b": True, "mean": True}),
        (0.9845, 0.9645, {"a": True, "b": True, "mean": False}),
        (1.0, 0.980, {"a": True, "b": True, "mean": False}),  # better is not parity either
    ],
)
def test_a_category_may_differ_by_1_5_points_and_the_mean_by_half_a_point(
    first: float, second: float, holds: dict[str, bool], having: Having
) -> None:
    found = differences([having("a", image_auroc=first), having("b", image_auroc=second)], PUBLISHED)

    assert {difference.category: difference.holds for difference in found} == holds


def test_only_what_was_measured_and_published_is_compared(having: Having) -> None:
    runs = [
        having("a", image_auroc=0.99, pixel_auroc=0.5),
        having("c", image_auroc=0.1),
        having("b", pixel_auroc=None),
    ]

    found = differences(runs, PUBLISHED)

    assert [(d.category, d.metric) for d in found] == [("a", "image_auroc"), ("mean", "image_auroc")]
    assert found[1].published == 99.0


def test_means_leave_out_what_is_not_defined(having: Having) -> None:
    runs = [having("a", image_auroc=0.5, aupro=None), having("b", image_auroc=1.0)]

    assert means(runs, ("image_auroc", "aupro")) == {"image_auroc": 0.75, "aupro": None}


def test_the_official_results_are_those_of_the_published_tables() -> None:
    official = published_for("official-224")

    assert official is not None
    assert len(official.categories) == 15
    assert official.categories["pill"] == {"image_auroc": 96.67, "pixel_auroc": 97.80, "aupro": 94.36}
    for metric, mean in (("image_auroc", 99.16), ("pixel_auroc", 98.11), ("aupro", 94.37)):
        values = [values[metric] for values in official.categories.values()]
        assert sum(values) / 15 == pytest.approx(mean, abs=0.006)
    assert published_for("edge") is published_for("nonsense") is None


def test_the_paper_s_means_belong_to_the_presets_that_do_them_again() -> None:
    assert paper_means("paper-1%") == {"image_auroc": 99.0, "pixel_auroc": 98.0, "aupro": 93.1}
    assert paper_means("paper-25%")["image_auroc"] == 99.1
    assert paper_means("official-224") == {"image_auroc": 99.0, "pixel_auroc": 98.1, "aupro": 93.5}
    assert paper_means("edge") == {}


def test_presets_that_do_something_again_name_the_paper_s_network_and_crop() -> None:
    again = [preset for preset in PRESETS.values() if preset.official or preset.paper]

    assert len(again) == 4
    for preset in again:
        assert (preset.backbone, preset.layers) == ("wide_resnet50_2", ("layer2", "layer3"))
        assert preset.embedding == "reference"
        assert preset.preprocessing.crop in (224, 320)


def test_a_preset_that_does_not_exist_is_named() -> None:
    with pytest.raises(OptionError, match="'official-999'") as caught:
        find_preset("official-999")

    assert "paper-25%" in caught.value.hint


def test_results_of_other_tools_are_read_by_dataset(tmp_path: Path) -> None:
    path = tmp_path / "peers.csv"
    path.write_text("tool,dataset,image_auroc,note\nofficial,bolt,0.99,a\nother,bolt,0.98,\nother,nut,0.5,\n")

    found = read_results(path)

    assert [row["tool"] for row in found["bolt"]] == ["official", "other"]
    assert found["nut"][0]["image_auroc"] == "0.5"


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "tool,dataset,image_auroc\n"])
def test_a_file_without_results_says_what_was_expected(tmp_path: Path, content: str) -> None:
    (tmp_path / "peers.csv").write_text(content)

    with pytest.raises(ResultError, match=r"peers\.csv"):
        read_results(tmp_path / "peers.csv")
    with pytest.raises(ResultError, match="cannot be read"):
        read_results(tmp_path / "gone.csv")
