"""The place of a check of signatures: before anything of a bundle is believed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.bundles.origin import register_origin_check
from pcedge.errors import BundleError


def test_a_bundle_that_a_check_does_not_trust_is_not_opened(
    tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    bundle = make_bundle(tmp_path / "part")
    seen: list[tuple[Path, bytes]] = []

    def check(directory: Path, manifest: bytes) -> None:
        seen.append((directory, manifest))
        raise BundleError(f"{directory} is not signed.", "Ask whoever made it.")

    unregister = register_origin_check(check)
    try:
        with pytest.raises(BundleError, match="is not signed"):
            Bundle.open(bundle.directory)
    finally:
        unregister()

    assert seen == [(bundle.directory, (bundle.directory / MANIFEST_FILE).read_bytes())]
    assert Bundle.open(bundle.directory).manifest == bundle.manifest
