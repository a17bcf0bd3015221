"""Drift: nothing while nothing moves, the right name when something does."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    DriftMonitor,
    DriftReference,
    Grid,
    ImageStatistics,
    Inspection,
    Martingale,
    QualityResult,
    RankTest,
    RateTest,
    Verdict,
    drift_readings,
    invalid,
    learn_limits,
    picture_values,
    rank_payoffs,
    render_part,
    score_values,
)
from pcedge.errors import OptionError

GRID = Grid(-5.0, 5.0, 0.01)
Change = Callable[[int], float]
Side = Literal["up", "down"]


class Line:
    """A made-up line: every number of a frame is drawn, and may be changed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)

    def look(self, light: float = 1.0, focus: float = 0.0, x: float = 0.0) -> QualityResult:
        brightness = 100 * light * np.exp(0.02 * self._random.standard_normal())
        sharpness = -2 + focus + 0.05 * self._random.standard_normal()
        offset_xy = (x + 0.004 * self._random.standard_normal(), 0.004 * self._random.standard_normal())
        return QualityResult(
            "", ImageStatistics((64, 64), float(brightness), 0.0, float(sharpness), 0, 0), offset_xy
        )

    def inspection(self, score: float = 1.0, rare: float = 0.0, verdict: Verdict = Verdict.OK) -> Inspection:
        found = score * np.exp(0.1 * self._random.standard_normal())
        share = float(np.clip(0.1 + rare + 0.02 * self._random.standard_normal(), 0, 1))
        return Inspection(verdict, float(found), 3.0, numbers={"rare_rows": share})

    def reference(self, pictures: int = 120) -> DriftReference:
        """What this line is when nothing has moved."""
        found: dict[str, list[float]] = {}
        for _ in range(pictures):
            inspection = self.inspection()
            values = (
                picture_values(self.look()) | score_values(inspection.score or 0) | dict(inspection.numbers)
            )
            for name, value in values.items():
                found.setdefault(name, []).append(value)
        return DriftReference({name: np.array(values) for name, values in found.items()})


def _first_alarm(
    monitor: DriftMonitor, frames: Iterator[tuple[Inspection, QualityResult]]
) -> tuple[int, dict[str, str]] | None:
    for number, (inspection, look) in enumerate(frames, 1):
        if monitor.add(inspection, look):
            return number, dict(monitor.moved)
    return None


def _frames(line: Line, count: int, **changes: Change) -> Iterator[tuple[Inspection, QualityResult]]:
    for frame in range(count):
        now = {name: change(frame) for name, change in changes.items()}
        inspection = line.inspection(now.pop("score", 1.0), now.pop("rare", 0.0))
        yield inspection, line.look(**now)


def _standings(monitor: DriftMonitor) -> set[str]:
    return {state.standing for name, state in monitor.states.items() if name != "rejects"}


def test_nothing_is_said_while_nothing_moves() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())

    assert _first_alarm(monitor, _frames(line, 3000)) is None
    assert _standings(monitor) == {"steady"}
    assert max(state.evidence for state in monitor.states.values()) < 2


@pytest.mark.parametrize(
    ("named", "words", "within", "changes"),
    [
        ("light", "brighter than at fit: check lamp", 1500, {"light": lambda n: 1 + 1e-4 * n}),
        ("light", "darker than at fit: check the lamp", 1500, {"light": lambda n: 1 - 1e-4 * n}),
        ("light", "brighter", 300, {"light": lambda n: 1.1}),
        ("focus", "less sharp than at fit: clean the lens", 300, {"focus": lambda n: -0.4}),
        ("position_x", "of the image to the right than at fit", 300, {"x": lambda n: 0.02}),
        ("score", "light, focus and position did not move: the parts", 400, {"score": lambda n: 1.5}),
        ("rare_rows", "resembles what was rare than at fit", 400, {"rare": lambda n: 0.12}),
    ],
)
def test_what_moves_is_named_with_what_to_do(
    named: str, words: str, within: int, changes: dict[str, Change]
) -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())

    found = _first_alarm(monitor, _frames(line, within, **changes))

    assert found is not None
    assert found[1].keys() <= {named, "score_high"}
    assert words in found[1][named]
    assert monitor.states[named].standing == "moved"


def test_scores_that_rise_with_the_light_are_put_down_to_it() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())

    for inspection, look in _frames(line, 600, light=lambda n: 1.2, score=lambda n: 1.6):
        monitor.add(inspection, look)

    assert "light moved too" in monitor.moved["score"]


def test_what_comes_back_is_steady_again() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())
    assert _first_alarm(monitor, _frames(line, 300, light=lambda n: 1.1)) is not None

    back = _first_alarm(monitor, _frames(line, 400))

    assert back is not None
    assert back[1] == {}
    assert monitor.states["light"].standing == "steady"


def test_rare_defects_are_no_drift_and_a_run_of_them_is_named_as_such() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())
    random = np.random.default_rng(1)
    for _ in range(3000):
        defect = random.random() < 0.02
        shift = {"light": 0.5} if defect else {}
        inspection = line.inspection(8.0, 0.5, Verdict.NG) if defect else line.inspection()
        assert not monitor.add(inspection, line.look(**shift))

    many = ((line.inspection(8.0, 0.5, Verdict.NG), line.look()) for _ in range(40))
    found = _first_alarm(monitor, many)

    assert found is not None
    assert found[1].keys() == {"rejects"}
    assert "are NG, good parts explain at most 5.0%" in found[1]["rejects"]
    assert "the parts or the process changed" in found[1]["rejects"]


def test_without_a_reference_the_first_frames_are_it() -> None:
    line = Line()
    monitor = DriftMonitor()
    assert _standings(monitor) == {"learning"}
    assert _first_alarm(monitor, _frames(line, 400)) is None
    assert _standings(monitor) == {"steady"}

    found = _first_alarm(monitor, _frames(line, 400, light=lambda n: 1.15))

    assert found is not None
    assert "brighter than in the first frames of this run" in found[1]["light"]


def test_what_could_not_be_judged_does_not_count() -> None:
    monitor = DriftMonitor(Line().reference())

    for _ in range(500):
        assert not monitor.add(invalid("black"), Line().look(light=0.01))

    assert monitor.states["light"].frames == monitor.states["rejects"].frames == 0


def test_what_an_old_reference_found_is_forgotten_also_while_it_is_being_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread gives a new reference while a frame is being added."""
    line = Line()
    monitor = DriftMonitor(line.reference())

    def restarted_meanwhile(*_: object) -> dict[str, str]:
        monitor.restart(DriftReference())
        return {"light": "moved"}

    monkeypatch.setattr("pcedge.camera.drift.monitor.describe", restarted_meanwhile)
    for inspection, look in _frames(line, 10):
        monitor.add(inspection, look)

    assert monitor.moved == {}
    assert monitor.states["light"].standing == "learning"


def test_a_new_reference_begins_anew() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())
    assert _first_alarm(monitor, _frames(line, 300, light=lambda n: 1.1)) is not None

    monitor.restart(DriftReference())

    assert monitor.moved == {}
    assert monitor.states["light"].standing == "learning"


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(OptionError, match="makes no sense"):
        DriftMonitor(alarm_rate=rate)


def test_the_figures_go_to_prometheus() -> None:
    line = Line()
    monitor = DriftMonitor(line.reference())
    _first_alarm(monitor, _frames(line, 300, light=lambda n: 1.1))

    found = {(one.name, one.labels.get("quantity", "")): one.value for one in drift_readings({"a": monitor})}

    assert found["pcedge_drift", "light"] == 1
    assert found["pcedge_drift", "focus"] == 0
    assert found["pcedge_drift_evidence", "light"] >= 1
    assert found["pcedge_drift_evidence", "focus"] < 0.1
    assert 0.05 < found["pcedge_drift_shift", "light"] < 0.15
    assert found["pcedge_ng_share", ""] == 0


def _wealths(values: NDArray[np.float64], tolerance: float, side: str, seed: int) -> list[float]:
    """The test once more, as it is written down: no sum kept, no bin counted twice."""
    random = np.random.default_rng(seed)
    sign = 1 if side == "up" else -1
    nearer = int(np.ceil(tolerance / GRID.step)) + 1
    places = sign * np.array([GRID.bin(value) for value in values])
    limits = np.sort(places[:20])[[9, 17, 19]]
    powers = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
    reserve = 0.5 * np.log(100) / np.log(100 + np.arange(len(values)))
    placed, found = np.full(11, 0.5 / 11), []
    for step, now in enumerate(range(20, len(values)), 1):
        past, place = places[:now], places[now] - nearer
        rank = ((past < place).sum() + random.random() * ((past == place).sum() + 1)) / (now + 1)
        within = (past[:, np.newaxis] <= limits).sum(axis=0) / (now + 1)
        odds = (rank > within) / (1 - within) - 1
        payoffs = np.concatenate([powers * rank ** (powers - 1), 1 + 0.5 * odds, 1 + 0.95 * odds])
        placed = np.minimum((placed + (reserve[step - 1] - reserve[step]) / 11) * payoffs, 1e100)
        found.append(float(placed.sum() + reserve[step]))
    return found


@pytest.mark.parametrize("side", ["up", "down"])
@pytest.mark.parametrize(("shift", "grain", "tolerance"), [(0.0, 0.0, 0.0), (3.0, 0.0, 0.2), (4.0, 0.5, 0.3)])
def test_the_wealth_is_what_its_formula_says(
    side: Side, shift: float, grain: float, tolerance: float
) -> None:
    values = np.random.default_rng(3).standard_normal(420) * 1.8
    values[120:] += shift * (1 if side == "up" else -1)
    values = np.rint(values / grain) * grain if grain else values
    test = RankTest(values[:20], GRID, tolerance, (side,), np.random.default_rng(7))

    found = []
    for value in values[20:]:
        test.add(value)
        found.append(test.wealth(side))

    assert found == pytest.approx(_wealths(values, tolerance, side, 7), rel=1e-9)
    assert (max(found) > 1e3) == (shift > 0)


@pytest.mark.parametrize("kind", ["noise", "ties", "wander"])
def test_evidence_against_what_has_not_moved_keeps_to_its_bound(kind: str) -> None:
    """Ville's inequality at the levels that so few runs can show; the wander is as wide as the tolerance."""
    most = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        drawn = random.standard_normal(206)
        values = {
            "noise": drawn,
            "ties": np.rint(drawn),
            "wander": 0.1 * drawn + np.where(np.arange(206) % 80 < 40, 0.0, 0.5),
        }[kind]
        tolerance = 0.5 if kind == "wander" else 0.0
        test = RankTest(values[:6], GRID, tolerance, ("up", "down"), random)
        wealth = []
        for value in values[6:]:
            test.add(value)
            wealth.append(test.wealth("up"))
        most.append(max(wealth))

    assert np.mean(np.array(most) >= 4) <= 1 / 4
    assert np.mean(np.array(most) >= 20) <= 0.1


def test_bets_are_fair_whatever_the_ranks_so_far() -> None:
    """The mean payoff over uniform ranks is 1, which is all that the bound rests on."""
    ranks = (np.arange(20_000) + 0.5) / 20_000

    found = np.array([rank_payoffs(rank, [0.0, 0.3, 0.95]) for rank in ranks])

    assert found.mean(axis=0) == pytest.approx(1, abs=2e-3)
    assert (np.diff(found, axis=0) >= 0).all(), "a higher rank never pays less: the tolerance rests on it"


def test_capital_is_neither_made_nor_lost_without_luck() -> None:
    capital = Martingale(3)

    for _ in range(1000):
        capital.settle([1.0] * 3)

    assert capital.wealth == pytest.approx(1)


def test_a_rate_is_tested_against_a_bound() -> None:
    random = np.random.default_rng(0)
    steady, risen = RateTest(0.05), RateTest(0.05)

    evidence = []
    for _ in range(3000):
        steady.add(bool(random.random() < 0.05))
        risen.add(bool(random.random() < 0.15))
        evidence.append(steady.wealth)

    assert max(evidence) < 20
    assert risen.wealth > 1e6


def test_the_gate_tells_which_way_the_scene_has_moved() -> None:
    picture = render_part(0, size=128).image_rgb
    limits, nominal = learn_limits([picture] * 4)
    moved = np.roll(picture, (2, 3), axis=(0, 1))

    look = limits.look(moved)

    assert nominal.offsets_xy is not None
    assert np.allclose(nominal.offsets_xy, 0, atol=1e-3)
    assert look.offset_xy == pytest.approx((3 / 128, 2 / 128), abs=3e-3)
