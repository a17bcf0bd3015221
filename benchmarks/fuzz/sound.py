"""Sound inputs: a small line is rendered, fitted, exported, evaluated and taught, by the real commands."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pcedge.camera import render_part, write_dataset, write_image

from .targets import sound_inputs


def make_sound(folder: Path, bundle: Path | None) -> None:
    """Write a sound input of every kind.

    Args:
        folder: For them.
        bundle: An exported bundle; None to fit one, to teach it, and to evaluate it.
    """
    if bundle is not None:
        sound_inputs(folder, bundle, None)
        return
    with tempfile.TemporaryDirectory() as place:
        sound_inputs(folder, *_fitted(Path(place)))


def _fitted(place: Path) -> tuple[Path, Path]:
    """A bundle, and a run of it."""
    write_dataset(place / "line", train=12, test_good=4, per_defect=1)
    (place / "darker").mkdir()
    for number in range(4):
        darker = (render_part(900 + number).image_rgb * 0.8).astype(np.uint8)
        write_image(place / "darker" / f"{number}.png", darker)
    models, model = ("--models", place / "models"), ("--model", place / "models" / "line")
    _pcedge("fit", place / "line", "--backbone", "pcedge-s", "--image-size", "64", *models)
    _pcedge("export", *model)
    _pcedge("evaluate", place / "line", *model, "--output", place / "run")
    _pcedge("teach", place / "darker", "--force", *model)
    return place / "models" / "line", place / "run"


def _pcedge(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pcedge", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"pcedge {arguments[0]} failed:\n{done.stderr}")
