"""Reloading bundles that are replaced on disk while in use, after verifying them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.bundles.product import check_same_product
from pcedge.camera import Repeating, in_words
from pcedge.errors import PcedgeError
from pcedge.methods import AnyBundle, open_any_bundle

from .inspector_pool import InspectorPool

_POLL_S = 2.0

OnReload = Callable[[str, AnyBundle], None]
OnProblem = Callable[[PcedgeError], None]


class Reloader:
    """Reloads the bundles of a :class:`InspectorPool` in a background thread, until the block ends.

    A bundle whose manifest has changed is opened, verified on this machine and loaded. The old one stays in
    use until the new one is ready: no frame waits. A bundle that cannot be used, or is another product's, is
    reported once, and the old one stays until the next change.

    Args:
        inspector: The inspector pool.
        bundles: Camera name to its bundle's directory.
        index: Index to search their banks with; None for each bundle's own.
        on_reload: Called with each camera and its new bundle once that is ready; a frame may already have
            been judged by it.
        on_problem: Called with the reason why a new bundle is not used.
        poll_s: Seconds between two checks.
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
            # A directory missing for an instant is being replaced.
            if now is not None and now != seen:
                self._seen[directory] = now
                self._take(directory)

    def _take(self, directory: Path) -> None:
        try:
            bundle = open_any_bundle(directory).searched_by(self._index)
            for camera in self._cameras[directory]:
                before = self._inspector.assignment(camera)
                check_same_product(directory, before.bundle.manifest, bundle.manifest)
                assignment = replace(before, bundle=bundle)
                self._inspector.replace(camera, assignment)
                self._on_reload(camera, bundle)
        except PcedgeError as error:
            self._on_problem(error)
        except OSError as error:
            self._on_problem(PcedgeError(f"{directory} cannot be read: {error.strerror or error}."))
        except Exception as error:  # whatever is damaged in it, the next one may be good
            self._on_problem(PcedgeError(f"{directory} cannot be used: {in_words(error)}."))


def _state(directory: Path) -> tuple[int, int, int] | None:
    try:
        stat = (directory / MANIFEST_FILE).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
