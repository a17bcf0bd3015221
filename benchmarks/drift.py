"""Drift: no false alarm in 50,000 stationary frames, and how soon what moves is noticed and named.

``python -m benchmarks.drift``. First made-up lines on which nothing moves, many runs of each: see
``benchmarks.drift_streams``. Then a rendered line: a bundle is fitted on it, images are judged by it and go
through gate and monitor, rendered once and given again and again; then they become brighter by 1 % every 100
frames, darker, blurred, shifted, stained. Exit code 1 if there is an alarm where nothing moves, or none of
the right name where something does.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.drift_reference import rare_rows_of
from pcedge.bundles.gate_files import gate_limits
from pcedge.bundles.row_usage import usage_of
from pcedge.camera import (
    DEFECT_KINDS,
    RARE_ROWS,
    DriftMonitor,
    FrameGate,
    GateLimits,
    Inspection,
    QualityResult,
    invalid,
    render_part,
    write_image,
)
from pcedge.cli.console import err, out
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import open_inspector
from pcedge.thresholds.drift import drift_reference

from .command import Json, Seed, facts, print_json
from .drift_streams import STREAMS, watch_stream

Image = NDArray[np.uint8]
_SIZE_PX = 128
# Parts lie where they are put: of all rendered ones those within this share of the image.
_NEST = 0.02
_DEFECT_RATE = 0.01
_LONGEST = 3000
# Grey levels: scores double, and most parts are NG.
_STAINS = 1.8


@dataclass(frozen=True, eq=False)
class Seen:
    """What gate and inspector made of an image."""

    inspection: Inspection
    look: QualityResult | None


@dataclass(frozen=True)
class Noticed:
    """When a change was noticed.

    Attributes:
        frames: How many frames after it began there was an alarm; None if there was none.
        named: What the monitor named at that moment.
        right: After how many frames it named what really moved; None if it did not.
        text: What it said of that.
    """

    frames: int | None
    named: tuple[str, ...] = ()
    right: int | None = None
    text: str = ""


class RenderedLine:
    """A fitted bundle, and images of the same line that it has judged.

    Args:
        directory: For the bundle.
        train: Images to fit on.
        images: Images to judge.
        seed: Which line.
    """

    def __init__(self, directory: Path, train: int, pictures: int, seed: int) -> None:
        parts = _in_the_nest(seed)
        (directory / "good").mkdir()
        for number in range(train):
            write_image(directory / "good" / f"{number:04d}.png", next(parts)[1])
        options = FitOptions(backbone="pcedge-s", models=directory / "models", name="line")
        self.bundle: Bundle = fit(directory / "good", options).bundle
        chosen = [next(parts) for _ in range(pictures)]
        self.good = [image for _, image in chosen]
        kinds = [DEFECT_KINDS[number % len(DEFECT_KINDS)] for number in range(max(1, pictures // 10))]
        self.bad = [
            render_part(part, kind, _SIZE_PX).image_rgb
            for (part, _), kind in zip(chosen, kinds, strict=False)
        ]

    def judge_with(self, inspector: Inspector) -> Callable[[Image], Seen]:
        """What judges an image as watch does, region, sinks and threads aside."""
        gate = FrameGate(gate_limits(self.bundle), frozen_after=0)
        usage = usage_of(self.bundle, rare_rows_of(self.bundle))

        def judge(image: Image) -> Seen:
            if reason := gate.check(image):
                return Seen(invalid(reason), gate.look)
            stages = inspector.stages(image)
            share = usage.rare_share(stages.rows)
            inspection = inspector.judge(stages, image)
            return Seen(replace(inspection, numbers={RARE_ROWS: share or 0.0}, score_map_hw=None), gate.look)

        return judge

    def monitor(self, seed: int) -> DriftMonitor:
        """A monitor with the bundle's reference."""
        return DriftMonitor(drift_reference(self.bundle, threshold=None, masked=False), seed=seed)


def _in_the_nest(seed: int) -> Iterator[tuple[int, Image]]:
    """Pictures of good parts that lie in the same place, each with its number."""
    first = seed * 1_000_000
    greys = [cv2.cvtColor(_part(first + number), cv2.COLOR_RGB2GRAY) for number in range(50)]
    reference = np.asarray(np.rint(np.mean(greys, axis=0)), np.uint8)
    anything = (0.0, 255.0)
    place = GateLimits(None, anything, 1.0, -99.0, 999.0, 1.0, shift=1.0, reference_hw=reference)
    number = first + 50
    while True:
        image = _part(number)
        offset_xy = place.look(image).offset_xy
        if offset_xy is not None and max(map(abs, offset_xy)) <= _NEST:
            yield number, image
        number += 1


def _part(number: int) -> Image:
    return render_part(number, size=_SIZE_PX).image_rgb


def _brighter(image: Image, frame: int, per_frame: float = 1e-4, at_once: float = 0.0) -> Image:
    factor = 1 + at_once + per_frame * frame
    return np.asarray(cv2.convertScaleAbs(image, alpha=factor), np.uint8)


def _blurred(image: Image, frame: int, per_frame: float = 0.0, at_once: float = 0.0) -> Image:
    sigma = at_once + per_frame * frame
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8) if sigma > 0.1 else image


def _shifted(image: Image, _frame: int) -> Image:
    """By 2 % of the image to the right, in whole pixels, which leaves it as sharp as it was."""
    height, width = image.shape[:2]
    shift = np.array([[1.0, 0.0, round(0.02 * width)], [0.0, 1.0, 0.0]])
    moved = cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _stained(image: Image, _frame: int) -> Image:
    """Soft stains, as light as dark: another coating, under the same light, in the same focus and place."""
    noise = np.random.default_rng(1).standard_normal(image.shape[:2]).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3.0)
    soft = (soft - soft.mean()) / soft.std() * _STAINS
    return np.asarray(np.rint(np.clip(image + soft[:, :, np.newaxis], 0, 255)), np.uint8)


# Each with what is to be named.
CHANGES: dict[str, tuple[Callable[[Image, int], Image], str]] = {
    "1 % brighter every 100 frames": (_brighter, "light"),
    "1 % darker every 100 frames": (partial(_brighter, per_frame=-1e-4), "light"),
    "10 % brighter at once": (partial(_brighter, per_frame=0.0, at_once=0.1), "light"),
    "10 % darker at once": (partial(_brighter, per_frame=0.0, at_once=-0.1), "light"),
    "blur growing by 0.1 px every 100 frames": (partial(_blurred, per_frame=1e-3), "focus"),
    "blur of 0.45 px at once": (partial(_blurred, at_once=0.45), "focus"),
    "shift by 2 % of the picture": (_shifted, "position_x"),
    "stained parts": (_stained, "rejects"),
}


def stationary(line: RenderedLine, judge: Callable[[Image], Seen], frames: int, seed: int) -> Noticed:
    """Watch images of the line in random order, one in a hundred of them defective; an alarm ends it."""
    random, monitor = np.random.default_rng(seed), line.monitor(seed)
    good, bad = [judge(image) for image in line.good], [judge(image) for image in line.bad]
    gate = FrameGate(gate_limits(line.bundle), frozen_after=0)
    for number in range(1, frames + 1):
        pool, images = (bad, line.bad) if random.random() < _DEFECT_RATE else (good, line.good)
        chosen = int(random.integers(len(pool)))
        gate.check(images[chosen])
        if monitor.add(pool[chosen].inspection, gate.look):
            return Noticed(number, tuple(monitor.moved))
    return Noticed(None)


def changed(
    line: RenderedLine,
    judge: Callable[[Image], Seen],
    name: str,
    before: Sequence[Seen],
    seed: int,
    longest: int,
) -> Noticed:
    """Watch some frames of the line, then a change until it is named, or for the longest time."""
    random, monitor = np.random.default_rng(seed), line.monitor(seed)
    change, right = CHANGES[name]
    for one in before:
        if monitor.add(one.inspection, one.look):
            return Noticed(None, tuple(monitor.moved), None, "a false alarm before the change")
    first = Noticed(None)
    for frame in range(1, longest + 1):
        one = judge(change(line.good[int(random.integers(len(line.good)))], frame))
        if monitor.add(one.inspection, one.look) and first.frames is None:
            first = Noticed(frame, tuple(monitor.moved))
        if right in monitor.moved:
            return replace(first, right=frame, text=monitor.moved[right])
    return first


def measure(
    frames: Annotated[int, typer.Option(help="Stationary frames.", min=10)] = 50_000,
    runs: Annotated[int, typer.Option(help="Runs of every made-up line.", min=0)] = 20,
    seeds: Annotated[int, typer.Option(help="Runs of the rendered line; 0 for none.", min=0)] = 3,
    train: Annotated[int, typer.Option(help="Rendered images to fit on.", min=50)] = 200,
    pictures: Annotated[int, typer.Option(help="Rendered images to judge.", min=10)] = 300,
    before: Annotated[int, typer.Option(help="Stationary frames before a change.", min=0)] = 2000,
    longest: Annotated[int, typer.Option(help="Frames within which a change is to be noticed.")] = _LONGEST,
    only: Annotated[str, typer.Option(help="Only changes with this in their name.")] = "",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Look for false alarms where nothing moves, and for the frames until a change is noticed."""
    result: dict[str, Any] = {"frames": frames, "made_up": {}, "stationary": [], "changes": {}}
    for kind in STREAMS if runs else ():
        err.print(f"{runs} made-up lines: {kind}")
        outcomes = [watch_stream(kind, frames, seed + run) for run in range(runs)]
        result["made_up"][kind] = {
            "promised": STREAMS[kind].within,
            "alarms": [one.alarm for one in outcomes if one.alarm is not None],
            "most_evidence": max(one.evidence for one in outcomes),
        }
    if seeds:
        with tempfile.TemporaryDirectory() as directory:
            err.print("fitting the rendered line")
            line = RenderedLine(Path(directory), train, pictures, seed + 1)
            with open_inspector(line.bundle, runtime="torch") as inspector:
                judge = line.judge_with(inspector)
                for run in range(seeds):
                    err.print(f"{frames} stationary frames, run {run + 1}")
                    result["stationary"].append(asdict(stationary(line, judge, frames, seed + run)))
                chosen = [name for name in CHANGES if only in name]
                runs_of = range(seed, seed + seeds)
                result["changes"] = _changes(line, judge, chosen, runs_of, before, longest)
    print_json(result) if json else _show(result, runs)
    if not _holds(result):
        raise typer.Exit(1)


def _changes(
    line: RenderedLine,
    judge: Callable[[Image], Seen],
    names: Sequence[str],
    seeds: range,
    before: int,
    longest: int,
) -> dict[str, Any]:
    """Changes from the first frame on, and after some frames without them."""
    good = [judge(image) for image in line.good] if before else []
    found: dict[str, Any] = {}
    for name in names:
        for wait in dict.fromkeys((0, before)):
            err.print(f"{name}, after {wait} frames")
            calm = [good[number % len(good)] for number in range(wait)]
            noticed = [changed(line, judge, name, calm, seed, longest) for seed in seeds]
            found[f"{name}, after {wait} frames"] = [asdict(one) for one in noticed]
    return found


def _holds(result: dict[str, Any]) -> bool:
    quiet = all(not one["alarms"] for one in result["made_up"].values() if one["promised"])
    still = all(one["frames"] is None for one in result["stationary"])
    named = all(one["right"] is not None for found in result["changes"].values() for one in found)
    return quiet and still and named


def _show(result: dict[str, Any], runs: int) -> None:
    table = facts(f"Alarms in {result['frames']} frames on which nothing moves")
    for kind, one in result["made_up"].items():
        alarms = f"{len(one['alarms'])} of {runs} runs, most evidence {one['most_evidence']:.2g} of 1,400"
        table.add_row(kind, alarms + ("" if one["promised"] else " (nothing is promised for it)"))
    if result["stationary"]:
        false = sum(one["frames"] is not None for one in result["stationary"])
        table.add_row("rendered line", f"{false} of {len(result['stationary'])} runs")
    out.print(table)
    for name, found in result["changes"].items():
        frames = ", ".join(f"{one['frames']}" for one in found)
        right = ", ".join(f"{one['right']}" for one in found)
        out.print(f"{name}: noticed after {frames} frames, named after {right}: {found[0]['text']}")


if __name__ == "__main__":
    from .command import run

    run(measure)
