import shutil
from pathlib import Path
from typing import Any

import pytest

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle, seal


@pytest.fixture
def falsified(exported_line: Any, tmp_path: Path) -> Bundle:
    """A bundle whose exported network differs from its reference, and whose manifest agrees with it."""
    import onnx
    from onnx import numpy_helper

    directory = tmp_path / "models" / "line"
    shutil.copytree(exported_line.models / "line", directory)
    network = onnx.load(directory / EMBEDDER_FILE)
    weights = max(network.graph.initializer, key=lambda one: numpy_helper.to_array(one).size)
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.5, weights.name))
    onnx.save(network, directory / EMBEDDER_FILE)
    manifest = Bundle.open(directory).manifest
    return Bundle(directory, seal(directory, manifest))
