"""Repositories for Triton: read by its schema, run as it would run them, and compared with the inspector."""

import importlib.util
import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.files import describe_file
from pcedge.cli import app
from pcedge.core.preprocessing import PRESETS, Preprocessing
from pcedge.deployment.triton import repository as triton_repository
from pcedge.deployment.triton.client import inspect, preprocess, verdict
from pcedge.deployment.triton.models import Metadata
from pcedge.deployment.triton.repository import INDEX_FILE, write_triton_repository
from pcedge.errors import BundleError, ExportError, OptionError
from pcedge.export import EngineInfo, input_shapes, write_engine
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import open_inspector


class _Server:
    """Triton, as far as this goes: reads configurations by its schema, runs ONNX models and rows of them."""

    def __init__(self, directory: Path, schema: Any) -> None:
        parse = import_module("google.protobuf.text_format").Parse
        self.directory = directory
        self.configs = {
            path.parent.name: parse(path.read_text(encoding="utf-8"), schema.ModelConfig())
            for path in directory.glob("*/config.pbtxt")
        }

    def infer(self, model: str, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        config = self.configs[model]
        assert len(images) <= config.max_batch_size
        tensors: dict[str, NDArray[Any]] = {"images": images}
        for step in config.ensemble_scheduling.step:
            part = self.configs[step.model_name]
            assert part.max_batch_size >= config.max_batch_size
            session = onnxruntime.InferenceSession(
                self.directory / step.model_name / "1" / "model.onnx", providers=["CPUExecutionProvider"]
            )
            inputs = {name: tensors[tensor] for name, tensor in step.input_map.items()}
            for one in part.input:
                assert list(inputs[one.name].shape[1:]) == list(one.dims)
            found = session.run(list(step.output_map), inputs)
            for one in part.output:
                assert list(found[list(step.output_map).index(one.name)].shape[1:]) == list(one.dims)
            tensors |= dict(zip(step.output_map.values(), found, strict=True))
        return {one.name: tensors[one.name] for one in config.output}


@pytest.fixture(scope="module")
def bundle(exported_line: Any) -> Bundle:
    return Bundle.open(exported_line.models / "line")


@pytest.fixture(scope="module")
def written(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one product; not to be changed."""
    directory = tmp_path_factory.mktemp("triton") / "repository"
    write_triton_repository(bundle, directory, batch=4)
    return directory


@pytest.fixture
def repository(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "repository"))


@pytest.fixture
def pictures(exported_line: Any) -> list[NDArray[np.uint8]]:
    paths = sorted((exported_line.dataset / "test").glob("*/*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in (paths[0], paths[-1])]


def _renamed(bundle: Bundle, name: str, **changes: Any) -> Bundle:
    return Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, name=name, **changes))


def _embedder(bundle: Bundle) -> str:
    return f"embedder-{bundle.manifest.files[EMBEDDER_FILE].sha256[:12]}"


def _contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_what_triton_would_answer_is_what_the_inspector_finds(
    bundle: Bundle, written: Path, pictures: list[NDArray[np.uint8]], triton_schema: Any
) -> None:
    server = _Server(written, triton_schema)
    metadata = json.loads(server.configs["line"].parameters["pcedge"].string_value)
    batch = np.stack([preprocess(Image.fromarray(image), metadata["preprocessing"]) for image in pictures])

    found = server.infer("line", batch)

    assert set(server.configs) == {"line", "line-search", _embedder(bundle)}
    assert all(config.name == name for name, config in server.configs.items())
    with open_inspector(bundle, runtime="onnx", device="cpu") as inspector:
        for i, image in enumerate(pictures):
            expected = inspector.stages(image)
            scale = max(expected.score, inspector.threshold)
            np.testing.assert_allclose(batch[i], expected.network_input, atol=1e-6)
            np.testing.assert_allclose(found["score"][i, 0], expected.score, atol=1e-5 * scale)
            np.testing.assert_allclose(
                found["squared_distances"][i], expected.squared_distances, atol=1e-5 * scale
            )
            assert (found["rows"][i] == expected.rows).mean() > 0.99  # of rows as near, any will do
        assert metadata["threshold"] == inspector.threshold


def test_a_client_finds_all_it_must_know(bundle: Bundle, written: Path) -> None:
    manifest = bundle.manifest

    metadata = msgspec.json.decode((written / "line" / "1" / "metadata.json").read_bytes(), type=Metadata)

    assert metadata == Metadata.of(bundle)
    assert metadata.preprocessing == manifest.preprocessing
    assert (metadata.grid_hw, metadata.threshold) == (manifest.embedding.grid_hw, manifest.threshold.score)
    assert "--model line" in (written / "README.md").read_text(encoding="utf-8")
    assert (written / _embedder(bundle) / "1" / "model.onnx").read_bytes() == bundle.file(
        EMBEDDER_FILE
    ).read_bytes()


def test_the_client_beside_the_models_runs_without_pcedge(written: Path) -> None:
    spec = importlib.util.spec_from_file_location("a_client", written / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.verdict(1.0, 2.0) == "OK"
    assert "pcedge" not in {name.split(".")[0] for name in vars(module)}
    assert "import pcedge" not in (written / "client.py").read_text(encoding="utf-8")


def test_products_with_one_network_share_it_and_agree_on_a_batch(
    bundle: Bundle, repository: Path, triton_schema: Any
) -> None:
    before = (repository / "line" / "config.pbtxt").read_bytes()

    written = write_triton_repository(_renamed(bundle, "other"), repository, batch=2)

    assert written.products == ("line", "other")
    assert written.models == (_embedder(bundle), "other-search")
    server = _Server(repository, triton_schema)
    batches = {name: config.max_batch_size for name, config in server.configs.items()}
    assert batches == {
        "line": 4, "line-search": 4, "other": 2, "other-search": 2, _embedder(bundle): 4,
    }  # fmt: skip
    assert (repository / "line" / "config.pbtxt").read_bytes() == before

    write_triton_repository(_renamed(bundle, "other"), repository, batch=16)
    assert _Server(repository, triton_schema).configs[_embedder(bundle)].max_batch_size == 16


def test_a_product_is_replaced_and_what_else_is_there_stays(bundle: Bundle, repository: Path) -> None:
    (repository / "of-someone-else" / "1").mkdir(parents=True)
    (repository / "of-someone-else" / "1" / "model.onnx").write_bytes(b"theirs")
    (repository / "in-a-row" / "1").mkdir(parents=True)
    (repository / "line" / "left-over.txt").touch()
    threshold = msgspec.structs.replace(bundle.manifest.threshold, score=123.0)

    write_triton_repository(_renamed(bundle, "line", threshold=threshold), repository, batch=4)

    assert (repository / "of-someone-else" / "1" / "model.onnx").read_bytes() == b"theirs"
    assert (repository / "in-a-row" / "1").is_dir()
    assert not (repository / "line" / "left-over.txt").exists()
    assert "123.0" in (repository / "line" / "config.pbtxt").read_text(encoding="utf-8")


def test_a_network_that_no_product_needs_any_more_is_removed(
    bundle: Bundle, repository: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle.directory, tmp_path / "line"))
    network = onnx.load(copy / EMBEDDER_FILE)
    network.doc_string = "the same, but other bytes"
    onnx.save(network, copy / EMBEDDER_FILE)
    files = {**bundle.manifest.files, EMBEDDER_FILE: describe_file(copy / EMBEDDER_FILE)}
    changed = Bundle(copy, msgspec.structs.replace(bundle.manifest, files=files))

    write_triton_repository(changed, repository, batch=4)

    assert _embedder(changed) != _embedder(bundle)
    assert (repository / _embedder(changed)).is_dir()
    assert not (repository / _embedder(bundle)).exists()


@pytest.mark.parametrize("name", ["line-search", "of-someone-else"])
def test_a_product_named_like_another_model_is_refused(bundle: Bundle, repository: Path, name: str) -> None:
    (repository / "of-someone-else").mkdir()
    before = _contents(repository)

    with pytest.raises(OptionError, match=f"another model named '{name}'"):
        write_triton_repository(_renamed(bundle, name), repository, batch=4)

    assert _contents(repository) == before


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"products": {}}', b'{"pcedge_triton": "x"}'])
def test_a_directory_of_something_else_is_left_as_it_is(
    bundle: Bundle, tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    if content is not None:
        (tmp_path / INDEX_FILE).write_bytes(content)
    before = _contents(tmp_path)

    with pytest.raises(ExportError, match="no model repository that pcedge wrote") as caught:
        write_triton_repository(bundle, tmp_path, batch=4)

    assert "--model-repository" in caught.value.hint
    assert _contents(tmp_path) == before


def test_a_file_in_the_way_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "repository").write_text("mine")

    with pytest.raises(ExportError, match="no model repository"):
        write_triton_repository(bundle, tmp_path / "repository", batch=4)


def test_what_cannot_be_finished_leaves_everything_as_it_was(
    bundle: Bundle, repository: Path, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(bundle.directory, tmp_path / "damaged"))
    (damaged / "golden" / "stages.npz").write_bytes(b"changed")
    before = _contents(repository)

    with pytest.raises(BundleError, match=r"stages\.npz"):
        write_triton_repository(Bundle(damaged, bundle.manifest), repository, batch=4)
    with pytest.raises(ExportError, match="do not score like the reference"):
        write_triton_repository(_with_other_bank(bundle, tmp_path / "other"), repository, batch=4)

    assert _contents(repository) == before
    assert not [path for path in repository.parent.iterdir() if path.name.startswith(".")]


def _with_other_bank(bundle: Bundle, directory: Path) -> Bundle:
    import faiss

    shutil.copytree(bundle.directory, directory)
    path = directory / "bank.faiss"
    index = faiss.read_index(str(path))
    rows = index.reconstruct_n(0, index.ntotal)
    index.reset()
    index.add(rows * np.float32(1.1))
    faiss.write_index(index, str(path))
    files = {**bundle.manifest.files, "bank.faiss": describe_file(path)}
    return Bundle(directory, msgspec.structs.replace(bundle.manifest, files=files))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Engines for this machine can be had; returns the batches they were built for."""
    batches: list[int] = []

    def build(source: Path, target: Path, *, image_size: int, max_batch: int, **_: Any) -> None:
        batches.append(max_batch)
        _write_engine(target, image_size, max_batch, b"built")

    monkeypatch.setattr(triton_repository, "engine_name", lambda _: "here.engine")
    monkeypatch.setattr(triton_repository, "timing_cache_name", lambda: "here.timing")
    monkeypatch.setattr(triton_repository, "build_engine", build)
    return batches


def _write_engine(path: Path, image_size: int, batch: int, plan: bytes) -> None:
    info = EngineInfo(
        gpu="Orin",
        tensorrt="10.3.0",
        source=EMBEDDER_FILE,
        source_sha256="0" * 64,
        inputs=input_shapes(image_size, max_batch=batch),
        device_memory_bytes=None,
        built="2025-01-01T00:00:00+00:00",
    )
    write_engine(path, info, plan)


@pytest.mark.parametrize(("batch", "plan", "batches"), [(4, b"stored", []), (9, b"built", [9])])
def test_an_engine_is_taken_from_the_bundle_if_it_is_large_enough_and_built_otherwise(
    bundle: Bundle, tmp_path: Path, built: list[int], batch: int, plan: bytes, batches: list[int],
    triton_schema: Any,
) -> None:  # fmt: skip
    copy = Path(shutil.copytree(bundle.directory, tmp_path / "line"))
    _write_engine(copy / "here.engine", 224, 8, b"stored")
    files = {**bundle.manifest.files, "here.engine": describe_file(copy / "here.engine")}
    with_engine = Bundle(copy, msgspec.structs.replace(bundle.manifest, files=files))

    written = write_triton_repository(with_engine, tmp_path / "repository", batch=batch, trt=True)

    model = f"{_embedder(bundle)}-trt"
    assert (written.platform, written.models[0]) == ("tensorrt_plan", model)
    assert built == batches
    folder = tmp_path / "repository" / model / "1"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"model.plan": plan}
    config = _Server(tmp_path / "repository", triton_schema).configs[model]
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", batch)


def _export(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_command_writes_a_repository_and_says_what_to_ask_for(
    line: Any, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what is exported is used as it is
    before = (line.models / "line" / EMBEDDER_FILE).read_bytes()

    done = _export("--models", line.models, "--triton", tmp_path / "repository", "--batch", 3, "--json")

    assert done.exit_code == 0, done.output
    triton = json.loads(done.stdout)["triton"]
    assert (triton["model"], triton["platform"]) == ("line", "onnxruntime_onnx")
    assert "max_batch_size: 3" in (tmp_path / "repository" / "line" / "config.pbtxt").read_text()
    assert (line.models / "line" / EMBEDDER_FILE).read_bytes() == before

    done = _export("--models", line.models, "--triton", tmp_path)
    assert done.exit_code == 1
    assert "no model repository that pcedge wrote" in " ".join(done.output.split())


@pytest.mark.parametrize(
    "rule", [*PRESETS.values(), Preprocessing(image_size=40, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25))]
)
@pytest.mark.parametrize("size_wh", [(224, 224), (641, 479), (300, 500), (50, 70)])
def test_the_client_preprocesses_like_pcedge(rule: Preprocessing, size_wh: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_wh[::-1], 3), np.uint8)

    found = preprocess(Image.fromarray(image), json.loads(msgspec.json.encode(rule)))

    np.testing.assert_allclose(found, rule.apply(image), atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("score", "expected"),
    [(1.0, "OK"), (2.0, "OK"), (2.1, "NG"), (float("nan"), "INVALID"), (float("inf"), "INVALID")],
)
def test_the_client_never_passes_what_is_no_number(score: float, expected: str) -> None:
    assert verdict(score, 2.0) == expected


class _InferInput:
    def __init__(self, name: str, shape: list[int], datatype: str) -> None:
        self.described = (name, shape, datatype)

    def set_data_from_numpy(self, values: NDArray[np.float32]) -> None:
        assert self.described == ("images", list(values.shape), "FP32")
        self.values = values


class _Client:
    """NVIDIA's client of a server with these models, as far as ours uses it."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def get_model_config(self, model: str) -> dict[str, Any]:
        parameter = self._server.configs[model].parameters["pcedge"].string_value
        return {"parameters": {"pcedge": {"string_value": parameter}}}

    def infer(self, model: str, inputs: list[_InferInput]) -> Any:
        found = self._server.infer(model, inputs[0].values)
        answer = ModuleType("answer")
        vars(answer)["as_numpy"] = found.__getitem__
        return answer


def test_the_client_gives_the_inspector_s_verdict(
    bundle: Bundle,
    written: Path,
    pictures: list[NDArray[np.uint8]],
    triton_schema: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = ModuleType("tritonclient.http")
    vars(library)["InferInput"] = _InferInput
    monkeypatch.setitem(sys.modules, "tritonclient.http", library)
    client = _Client(_Server(written, triton_schema))

    with open_inspector(bundle, runtime="onnx", device="cpu") as inspector:
        assert isinstance(inspector, Inspector)
        for image in pictures:
            found, expected = inspect(client, "line", Image.fromarray(image)), inspector.inspect(image)
            assert found["verdict"] == expected.verdict.value
            assert found["score"] == pytest.approx(expected.score, rel=1e-4)
            assert found["squared_distances"].shape == bundle.manifest.embedding.grid_hw
