"""The ``synthetic:`` address of the synthetic camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from pcedge.errors import CameraError

from ..base import Source
from ..kind import SourceKind, SourceOptions, scheme_of
from .camera import SyntheticCamera

_OPTIONS: dict[str, tuple[str, Callable[[str], float]]] = {
    "frames": ("frames", int),
    "fps": ("fps", float),
    "seed": ("seed", int),
    "defects": ("defect_rate", float),
}


def _open(uri: str, _asked: SourceOptions) -> Source:
    options: dict[str, Any] = {}
    query = uri[len("synthetic:") :].lstrip("/?")
    for key, text in parse_qsl(query, keep_blank_values=True):
        try:
            name, convert = _OPTIONS[key]
            options[name] = convert(text)
        except (KeyError, ValueError) as error:
            raise CameraError(
                f"{uri}: the synthetic camera does not understand {key}={text}.",
                "For example: synthetic:?frames=50&fps=10&seed=3&defects=0.2",
            ) from error
    return SyntheticCamera(**options)


KIND = SourceKind("synthetic:", lambda uri: scheme_of(uri) == "synthetic", _open)
