from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.errors import OptionError
from pcedge.export import Runtime
from pcedge.inspection.runtime_kinds.kind import BundleRuntime
from pcedge.inspection.runtimes import (
    RUNTIMES,
    Candidate,
    candidates,
    open_inspector,
    runtime_file,
    runtime_kind,
)
from pcedge.inspection.verification.verify import choose_runtime


def test_a_kind_of_runtime_is_one_line_in_the_table(
    make_bundle: Callable[..., Bundle],
    make_runtime: Callable[..., Runtime],
    pictures: list[NDArray[np.uint8]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = make_bundle(tmp_path / "part")
    blocks = BundleRuntime(
        "blocks",
        open=lambda _bundle, _device: make_runtime(),
        file=lambda one: one.directory / MANIFEST_FILE,
        devices=lambda _bundle, device, _others: ["here"] if device == "auto" else [device],
        offered=lambda _bundle, _device: True,
    )
    with pytest.raises(OptionError, match="no runtime 'blocks'") as caught:
        runtime_kind("blocks")
    assert caught.value.hint == "Choose one of: auto, onnx, tensorrt, tensorrt-rtx, torch."

    monkeypatch.setattr("pcedge.inspection.runtimes.RUNTIMES", (blocks, *RUNTIMES))

    assert runtime_kind("blocks") == "blocks"
    assert candidates(bundle, "blocks") == [Candidate("blocks", "here")]
    assert runtime_file(bundle, "blocks").is_file()
    with open_inspector(bundle) as inspector:
        assert inspector.inspect(pictures[0]).score is not None
    assert choose_runtime(bundle, "blocks").candidate == Candidate("blocks", "here")
