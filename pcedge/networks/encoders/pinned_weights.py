"""Weights from a hub, pinned to the revision and the digest that this machine took first.

A repository on a hub can be changed by whoever owns it. So what a name has stood for on this machine once, it
stands for from then on: another file is refused, and a download asks for the revision that is known.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pcedge.bundles.files import describe_file
from pcedge.core.defaults import make_state_folder, state_directory
from pcedge.core.files import alone_with, replace_file
from pcedge.errors import WeightsUnavailableError

_FILE = "weights.json"
_LARGEST_BYTES = 1_000_000
_MAIN = "main"
_SHA256_DIGITS = 64


class Pin(msgspec.Struct, frozen=True):
    """What a repository's weights were when this machine took them first.

    Attributes:
        revision: Of the repository, its commit.
        sha256: Digest of the file.
    """

    revision: str
    sha256: str


def known_revision(repository: str) -> str:
    """The revision to ask for: the one that is known, otherwise the newest."""
    pin = _read().get(repository)
    return pin.revision if pin is not None else _MAIN


def check_pinned(repository: str, path: Path) -> Path:
    """Check a file of the hub's cache against what is known, or pin it where nothing is; the file.

    Args:
        repository: On the hub.
        path: In the cache: ``snapshots/<revision>/<name>``, a link to a file named by its digest.

    Raises:
        WeightsUnavailableError: It is damaged, or it is not what this machine took first.
    """
    digest = describe_file(path).sha256
    stated = path.resolve().name
    if len(stated) == _SHA256_DIGITS and stated != digest:
        raise WeightsUnavailableError(
            f"{path} is damaged: the hub said that its SHA-256 is {stated}, and it is {digest}.",
            f"Remove {path.resolve()}, and it is downloaded again.",
        )
    pin = _pinned(repository, Pin(path.parent.name, digest))
    if pin.sha256 != digest:
        raise WeightsUnavailableError(
            f"{path} is not the file of {repository} that this machine took first: its SHA-256 is {digest}, "
            f"that was {pin.sha256} (revision {pin.revision}).",
            f"If the change is meant, remove {_path()}, or give the file with --weights {path}.",
        )
    return path


def _pinned(repository: str, found: Pin) -> Pin:
    """What is known of a repository; if nothing is, ``found`` is from now on."""
    if (known := _read().get(repository)) is not None:
        return known
    try:
        with alone_with(make_state_folder()):
            pins = {repository: found, **_read()}
            replace_file(_path(), msgspec.json.encode(pins))
    except OSError as error:
        raise WeightsUnavailableError(
            f"{_path()} cannot be written: {error.strerror or error}. It keeps which weights were taken.",
            "Set PCEDGE_STATE to a folder that this user may write to.",
        ) from error
    return pins[repository]


def _read() -> Mapping[str, Pin]:
    path = _path()
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("too large")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Pin])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise WeightsUnavailableError(
            f"{path}, which keeps what weights were taken, cannot be read ({error}).",
            "Remove it: what is taken next is kept anew.",
        ) from error


def _path() -> Path:
    return state_directory() / _FILE
