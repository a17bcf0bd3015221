"""Where a bundle comes from: the place of a check that it was made by somebody this machine trusts.

The digests in a manifest show damage. They do not show who wrote it: whoever changes a threshold can change
the digests too. A check of signatures registers itself here, and every manifest passes it before it is read.
"""

from collections.abc import Callable
from pathlib import Path

# Given a bundle's directory and its manifest's bytes; raises BundleError for one that is not to be trusted.
OriginCheck = Callable[[Path, bytes], None]

_checks: list[OriginCheck] = []


def register_origin_check(check: OriginCheck) -> Callable[[], None]:
    """Let ``check`` decide about every bundle that this process opens from now on; returns how to undo it."""
    _checks.append(check)
    return lambda: _checks.remove(check)


def check_origin(directory: Path, manifest: bytes) -> None:
    """Ask every registered check.

    Raises:
        BundleError: One of them does not trust the bundle.
    """
    for check in _checks:
        check(directory, manifest)
