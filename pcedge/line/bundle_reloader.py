"""A bundle that is replaced on disk while it is in use: taken over when it verifies, left alone when not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.core.repeating import Repeating
from pcedge.errors import PcedgeError
from pcedge.methods.any_bundle import AnyBundle, open_any_bundle

from .inspector_pool import InspectorPool

_POLL_S = 2.0

OnReload = Callable[[str, AnyBundle], None]
OnProblem = Callable[[PcedgeError], None]


class Reloader:
    """Looks after the bundles of a :class:`InspectorPool`, in a thread of its own, while the block lasts.

    A bundle whose manifest has changed is opened, proved on this machine and loaded beside the one in use,
    which judges on until the new one is ready: no frame waits. One that cannot be used is reported once, and
    the old one stays until the next change.

    Args:
        inspector: Whose bundles.
        bundles: Camera name to its bundle's directory.
        index: How their banks are searched; None for every bundle's own way.
        on_reload: Told of every camera and its new bundle, as soon as that is ready: a first frame may have
            been judged by it already.
        on_problem: Told why a new bundle is not used.
        poll_s: How often to look.
    """

    def __init__(
        self,
        inspector: InspectorPool,
        bundles: Mapping[str, Path],
        *,
        index: str | None = None,
        on_reload: OnReload,
        on_problem: OnProblem,
        poll_s: float = _POLL_S,
    ) -> None:
        self._inspector = inspector
        self._cameras: dict[Path, list[str]] = {}
        for camera, directory in bundles.items():
            self._cameras.setdefault(directory, []).append(camera)
        self._seen = {directory: _state(directory) for directory in self._cameras}
        self._index = index
        self._on_reload = on_reload
        self._on_problem = on_problem
        self._looking = Repeating(self._look, poll_s, name="bundles", ends_within_s=_POLL_S)

    def __enter__(self) -> "Reloader":
        self._looking.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._looking.__exit__(kind, error, trace)

    def _look(self) -> None:
        for directory, seen in self._seen.items():
            now = _state(directory)
            # A directory that is gone for an instant is being replaced.
            if now is not None and now != seen:
                self._seen[directory] = now
                self._take(directory)

    def _take(self, directory: Path) -> None:
        try:
            bundle = open_any_bundle(directory).searched_by(self._index)
            for camera in self._cameras[directory]:
                assignment = replace(self._inspector.assignment(camera), bundle=bundle)
                self._inspector.replace(camera, assignment)
                self._on_reload(camera, bundle)
        except PcedgeError as error:
            self._on_problem(error)
        except OSError as error:
            self._on_problem(PcedgeError(f"{directory} cannot be read: {error.strerror or error}."))


def _state(directory: Path) -> tuple[int, int, int] | None:
    try:
        stat = (directory / MANIFEST_FILE).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
