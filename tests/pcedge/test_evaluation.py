"""What evaluation leaves out, and says so."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import write_image
from pcedge.datasets import open_dataset
from pcedge.errors import DatasetError
from pcedge.evaluation import evaluate
from pcedge.inspector import Inspector


def test_images_that_cannot_be_read_or_show_nothing_are_left_out_with_the_reason(
    tmp_path: Path, inspector: Inspector, pictures: list[NDArray[np.uint8]]
) -> None:
    good = tmp_path / "test" / "good"
    good.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        write_image(good / f"{number}.png", picture)
    write_image(good / "black.png", np.zeros((40, 50, 3), np.uint8))
    (good / "text.png").write_bytes(b"hello")

    found = evaluate(open_dataset(tmp_path), inspector)

    assert found.good == len(found.scores) == len(pictures)
    assert found.skipped.keys() == {"test/good/black.png", "test/good/text.png"}
    assert "black: mean 0.0" in found.skipped["test/good/black.png"]


def test_with_nothing_left_to_judge_there_is_no_result(tmp_path: Path, inspector: Inspector) -> None:
    folder = tmp_path / "test" / "good"
    folder.mkdir(parents=True)
    write_image(folder / "black.png", np.zeros((40, 50, 3), np.uint8))

    with pytest.raises(DatasetError, match="None of the 1 test images") as caught:
        evaluate(open_dataset(tmp_path), inspector)

    assert "black" in caught.value.hint
