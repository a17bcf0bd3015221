"""Weights beside a network: found wherever ONNX lets one say so, opened only where they are the bundle's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle, edit_bundle, seal
from pcedge.bundles.external_data import external_files
from pcedge.errors import BundleError

onnx = pytest.importorskip("onnx")


def _beside(location: str) -> Any:
    """Weights that lie in another file."""
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _network(location: str, place: str = "graph") -> bytes:
    """A network that takes its weights from a file, said in one of the places where that can be said."""
    helper = onnx.helper
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    constant = helper.make_node("Constant", [], ["y"], value=_beside(location))
    branch = helper.make_graph([constant], "branch", [], [value])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    plain = helper.make_node("Identity", ["weights"], ["y"])
    nodes = {"node": [constant], "branch": [choice]}.get(place, [plain])
    graph = helper.make_graph(nodes, "g", [], [value])
    if place == "graph":
        graph.initializer.append(_beside(location))
    if place == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(_beside(location))
    model = helper.make_model(graph)
    if place == "function":
        opset = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("own", "f", [], ["y"], [constant], opset))
    if place == "training":
        model.training_info.add().algorithm.CopyFrom(branch)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("place", ["graph", "node", "branch", "sparse", "function", "training"])
def test_it_is_found_wherever_it_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "a.onnx").write_bytes(_network("weights.bin", place))

    assert external_files(tmp_path / "a.onnx") == ["weights.bin"]


def test_a_network_with_all_its_weights_in_itself_names_none(tmp_path: Path) -> None:
    content = _network("weights.bin").replace(b"location", b"lokation")
    (tmp_path / "a.onnx").write_bytes(content)

    assert external_files(tmp_path / "a.onnx") == []


@pytest.mark.parametrize(
    "content", [b"\xff" * 20, b"\x3a\x7fa", b"\x3b", b"\x3a", b"\x3a\x04\x2a\x02\x6a\x7f"]
)
def test_what_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)

    with pytest.raises(BundleError, match=r"a\.onnx is no ONNX network"):
        external_files(tmp_path / "a.onnx")


def test_graphs_within_graphs_without_end_are_refused(tmp_path: Path) -> None:
    """A graph in an attribute of a node in a graph, and so on."""
    content = b""
    for _ in range(200):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            size = len(content)
            content = tag + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content
    size = len(content)
    head = b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    (tmp_path / "a.onnx").write_bytes(head + content)

    with pytest.raises(BundleError, match="nested too deeply"):
        external_files(tmp_path / "a.onnx")


def _compiled(**attributes: Any) -> bytes:
    """A network whose work a provider has compiled, as ONNX Runtime writes it."""
    helper = onnx.helper
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", **attributes)
    return bytes(helper.make_model(helper.make_graph([node], "g", [], [value])).SerializeToString())


@pytest.mark.parametrize(
    ("attributes", "files"),
    [
        ({"embed_mode": 0, "ep_cache_context": "net.engine"}, ["net.engine"]),
        ({"embed_mode": 1, "ep_cache_context": b"\xff\x00 plan"}, []),
        ({"ep_cache_context": b"\xff\x00 plan"}, []),
        ({"embed_mode": 2, "ep_cache_context": "/etc/net.engine"}, ["/etc/net.engine"]),
        ({"embed_mode": 1.0, "ep_cache_context": "net.engine"}, ["net.engine"]),
        ({"embed_mode": 1, "ep_cache_context": "plan", "onnx_model_filename": "a.onnx"}, ["a.onnx"]),
    ],
)
def test_what_a_provider_compiled_names_its_file(
    tmp_path: Path, attributes: dict[str, Any], files: list[str]
) -> None:
    (tmp_path / "a.onnx").write_bytes(_compiled(**attributes))

    assert external_files(tmp_path / "a.onnx") == files


@pytest.fixture
def with_network(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Callable[..., Bundle]:
    """A bundle whose network takes its weights from a file; ``weights.bin`` is there and listed."""

    def make(location: str, write: Callable[[str], bytes] = _network) -> Bundle:
        bundle = make_bundle(tmp_path / "models" / "part")
        with edit_bundle(bundle) as staging:
            (staging / EMBEDDER_FILE).write_bytes(write(location))
            (staging / "weights.bin").write_bytes(np.ones(4, np.float32).tobytes())
            seal(staging, bundle.manifest)
        return Bundle.open(bundle.directory)

    return make


def _compiled_in(location: str) -> bytes:
    return _compiled(embed_mode=0, ep_cache_context=location)


@pytest.mark.parametrize("write", [_network, _compiled_in])
def test_a_file_that_the_bundle_lists_is_checked_with_the_network(
    with_network: Callable[..., Bundle], write: Callable[[str], bytes]
) -> None:
    bundle = with_network("weights.bin", write)
    assert bundle.file(EMBEDDER_FILE).is_file()

    again = Bundle.open(bundle.directory)
    (bundle.directory / "weights.bin").write_bytes(bytes(16))
    with pytest.raises(BundleError, match=r"weights\.bin is not the file"):
        again.file(EMBEDDER_FILE)


@pytest.mark.parametrize("write", [_network, _compiled_in])
@pytest.mark.parametrize("where", ["absolute", "above", "unlisted", "link"])
def test_a_file_from_anywhere_else_is_refused(
    tmp_path: Path, with_network: Callable[..., Bundle], where: str, write: Callable[[str], bytes]
) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    location = {
        "absolute": str(secret),
        "above": "../../secret.bin",
        "unlisted": "other.bin",
        "link": "weights.bin",
    }
    bundle = with_network(location[where], write)
    (bundle.directory / "other.bin").write_bytes(secret.read_bytes())
    if where == "link":
        (bundle.directory / "weights.bin").unlink()
        (bundle.directory / "weights.bin").symlink_to(secret)
    words = {"unlisted": r"has no other\.bin", "link": "is a link"}.get(where, "outside its bundle")

    with pytest.raises(BundleError, match=words):
        bundle.file(EMBEDDER_FILE)
