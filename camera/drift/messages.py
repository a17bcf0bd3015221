"""Drift messages: what has drifted, how far, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from .quantities import QUANTITIES, REJECTS

if TYPE_CHECKING:
    from .series import SeriesState

_ADVICE = {
    ("light", "up"): "check lamp and exposure",
    ("light", "down"): "check the lamp, clean the lens",
    ("focus", "up"): "check whether the lens was changed",
    ("focus", "down"): "clean the lens, check the focus",
    ("position", "up"): "check how the camera is fixed",
    ("position", "down"): "check how the camera is fixed",
}
_TO_STAY = "if the change is permanent: pcedge calibrate"
_IMAGE = ("light", "focus", "position")


def describe(states: Mapping[str, SeriesState], suspected: Collection[str]) -> dict[str, str]:
    """Return a sentence for every quantity that has moved, by its name.

    Args:
        states: Status of every quantity and the rejects.
        suspected: Subjects with some evidence of drift, but no alarm yet.
    """
    moved = {name: state for name, state in states.items() if state.side is not None}
    subjects = {QUANTITIES[name].subject for name in moved if name in QUANTITIES}
    cause = _cause([one for one in _IMAGE if one in subjects or one in suspected], states)
    return {name: _sentence(name, state, cause) for name, state in moved.items()}


def _sentence(name: str, state: SeriesState, cause: str) -> str:
    if name == REJECTS:
        known = f"good parts explain at most {state.tolerance or 0:.1%}"
        return f"{state.shift or 0:.1%} of the last parts are NG, {known}: {cause}"
    quantity = QUANTITIES[name]
    what = quantity.up if state.side == "up" else quantity.down
    shift = quantity.share(state.shift or 0.0)
    amount = f"{abs(shift):.1%}" + ("" if quantity.ratio else " of the image")
    than = "in the first frames of this run" if state.learned else "at fit"
    found = f"{what.format(amount=amount)} than {than}"
    advice = _ADVICE.get((quantity.subject, state.side or "up"), "")
    return f"{found}: {advice}, {_TO_STAY}" if advice else f"{found}: {cause}"


def _cause(moved: list[str], states: Mapping[str, SeriesState]) -> str:
    """Return the probable cause of a change of the parts, as far as the images show it."""
    if moved:
        return f"{' and '.join(moved)} moved too, correct that first"
    seen = [one for one in _IMAGE if _is_seen(one, states)]
    if not seen:
        return "light, focus and position are not monitored: look at the images"
    steady = f"{' and '.join([', '.join(seen[:-1]), seen[-1]] if len(seen) > 1 else seen)} did not move"
    return f"{steady}: the parts or the process changed; teach good parts with pcedge teach, or fit again"


def _is_seen(subject: str, states: Mapping[str, SeriesState]) -> bool:
    return any(
        state.frames > 0
        for name, state in states.items()
        if name in QUANTITIES and QUANTITIES[name].subject == subject
    )
