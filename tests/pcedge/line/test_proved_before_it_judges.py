"""Whatever judges frames proves its bundle first, without being told to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pcedge
from pcedge import Products
from pcedge.bundles.bundle import Bundle
from pcedge.camera import SyntheticCamera, render_part
from pcedge.errors import ExportError, OptionError, PcedgeError
from pcedge.line.config import CameraTable, LineFile, WatchTable
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.line.open_line import open_line
from pcedge.line.runtime_choice import RuntimeOptions, choose_for
from pcedge.line.watch import WatchOptions, watch

REFUSAL = "does not score like the float32 reference"


def _line(bundle: Bundle, tmp_path: Path, *, unverified: bool = False) -> float:
    """The score of the first frame of a line with this bundle."""
    described = LineFile(cameras=(CameraTable(source="synthetic:", name="a", product=str(bundle.directory)),))

    def fail(error: PcedgeError) -> None:
        raise error

    with open_line(described, tmp_path, models=tmp_path, on_problem=fail, unverified=unverified) as line:
        return _score(line.inspector.inspector("a").inspect(_image()).score)


def _pool(bundle: Bundle, _tmp_path: Path) -> float:
    with InspectorPool({"a": Assignment(bundle)}) as pool:
        return _score(pool.inspector("a").inspect(_image()).score)


def _products(bundle: Bundle, _tmp_path: Path, *, unverified: bool = False) -> float:
    with Products({"a": bundle.directory}, unverified=unverified) as products:
        return _score(products.switch("a").inspect(_image()).score)


def _cameras_of_products(bundle: Bundle, _tmp_path: Path) -> float:
    with Products({}, {"a": Assignment(bundle)}) as products:
        return _score(products.inspector("a").inspect(_image()).score)


def _watch(bundle: Bundle, tmp_path: Path, *, unverified: bool = False) -> float:
    scores: list[float | None] = []
    watch(
        bundle,
        SyntheticCamera(frames=1),
        WatchOptions(tmp_path),
        unverified=unverified,
        on_event=lambda _event, _frame, inspection: scores.append(inspection.score),
    )
    return _score(scores[0])


def _image() -> NDArray[np.uint8]:
    return render_part(1).image_rgb


def _score(score: float | None) -> float:
    assert score is not None
    return score


@pytest.mark.parametrize("judge", [_line, _pool, _products, _cameras_of_products, _watch])
def test_a_network_that_was_falsified_with_its_manifest_is_refused(
    judge: Callable[[Bundle, Path], float], falsified: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=REFUSAL):
        judge(falsified, tmp_path)


@pytest.mark.parametrize("judge", [_line, _products, _watch])
def test_it_judges_where_proof_is_not_wanted_in_so_many_words(
    judge: Callable[..., float], falsified: Bundle, tmp_path: Path
) -> None:
    assert judge(falsified, tmp_path, unverified=True) > 0


def test_watch_takes_an_inspector_only_where_proof_is_not_wanted(falsified: Bundle, tmp_path: Path) -> None:
    camera, options = SyntheticCamera(frames=1), WatchOptions(tmp_path)
    with pcedge.open_inspector(falsified) as inspector:
        with pytest.raises(OptionError, match="no proof"):
            watch(inspector, camera, options)

        assert watch(inspector, camera, options, unverified=True).frames == 1


def test_what_the_line_says_of_runtimes_counts_where_nothing_else_does(falsified: Bundle) -> None:
    line = LineFile(
        cameras=(CameraTable(source="0", threshold=1.0),), watch=WatchTable(runtime="torch", device="cpu")
    )
    options = RuntimeOptions(unverified=True).over(line)

    assert options == RuntimeOptions("torch", "cpu", "fp32", unverified=True)
    assert choose_for(falsified, options).proof == ""
    with pytest.raises(OptionError, match="no runtime 'steam'"):
        choose_for(falsified, RuntimeOptions("steam"))
