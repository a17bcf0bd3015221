"""Model repositories of the Triton Inference Server: products put in, replaced and kept side by side."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.core.defaults import default_cache_directory
from pcedge.core.files import link_or_copy, replace_directory
from pcedge.core.progress import Progress, silent
from pcedge.errors import ExportError, OptionError
from pcedge.export import (
    MODEL_FILES,
    Platform,
    build_engine,
    engine_name,
    read_engine,
    timing_cache_name,
    write_bank_search,
)
from pcedge.inspection.verification.parity import Parity

from .guide import guide_files
from .models import Metadata, ProductModels, prove_models, triton_configs

INDEX_FILE = "pcedge.json"


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``pcedge.json``, by which a repository is known to be one of ours."""

    pcedge_triton: int
    products: dict[str, ProductModels]

    def models_of(self, *, but: str) -> set[str]:
        """Names of all models of the products, one of these aside."""
        others = {name: models for name, models in self.products.items() if name != but}
        return {*others, *(name for models in others.values() for name in (models.embedder, models.search))}


@dataclass(frozen=True)
class TritonRepository:
    """A model repository that was written.

    Attributes:
        directory: Where it is.
        model: Name of the model to ask, the product's.
        models: Names of the models that work for it.
        platform: What runs the embedder.
        products: Names of all products in the repository.
        parity: How far the repository's ONNX models are from the reference.
    """

    directory: Path
    model: str
    models: tuple[str, str]
    platform: Platform
    products: tuple[str, ...]
    parity: Parity


def write_triton_repository(
    bundle: Bundle, directory: Path, *, batch: int, trt: bool = False, progress: Progress = silent
) -> TritonRepository:
    """Put a product's models into a model repository of the Triton Inference Server.

    The embedder is named for its digest, so that products with the same network share one; so an export
    after a new fit replaces a bank and a threshold only. The repository is replaced whole; what else is in
    it stays, this product's earlier models aside.

    Args:
        bundle: An exported bundle.
        directory: An empty or new directory, or a repository written here before.
        batch: Most images a call.
        trt: Whether the embedder is to be a TensorRT engine, for this machine's GPU and TensorRT version.
        progress: Called with the stage ``triton``.

    Raises:
        ExportError: There is something else in the directory, the models differ from the reference, or it
            cannot be written.
        OptionError: The product's name is that of another model there.
        RuntimeUnavailableError: TensorRT is not on this machine.
        MissingExtraError: onnx or ONNX Runtime is not installed.
    """
    old, name = _read_index(directory), bundle.manifest.name
    digest = bundle.manifest.files[EMBEDDER_FILE].sha256[:12]
    platform: Platform = "tensorrt_plan" if trt else "onnxruntime_onnx"
    models = ProductModels(
        embedder=f"embedder-{digest}{'-trt' if trt else ''}", search=f"{name}-search", batch=batch
    )
    _check_names(directory, old, name, models)
    new = _Index(pcedge_triton=1, products={**old.products, name: models})
    shared = max(one.batch for one in new.products.values() if one.embedder == models.embedder)
    progress("triton", 0, 1)
    plan = _plan(bundle, shared) if trt else None
    with _explain_disk_errors(directory), replace_directory(directory) as staging:
        _keep_others(directory, staging, old, new, name)
        search = _place(staging, models.search, MODEL_FILES["onnxruntime_onnx"])
        write_bank_search(search, bundle.open_bank().rows)
        parity = prove_models(bundle, search)
        embedder = _place(staging, models.embedder, MODEL_FILES[platform])
        if plan is None:
            shutil.copyfile(bundle.file(EMBEDDER_FILE), embedder)
        else:
            embedder.write_bytes(plan)
        _write_texts(staging, bundle, new, triton_configs(bundle, models, platform, shared))
    progress("triton", 1, 1)
    steps = (models.embedder, models.search)
    return TritonRepository(directory, name, steps, platform, tuple(new.products), parity)


def _read_index(directory: Path) -> _Index:
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return _Index(pcedge_triton=1, products={})
    try:
        return msgspec.json.decode((directory / INDEX_FILE).read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ExportError(
            f"{directory} exists and is no model repository that pcedge wrote; it was left as it is.",
            "Name a new or empty directory: tritonserver serves several, one --model-repository each.",
        ) from error


def _check_names(directory: Path, old: _Index, name: str, models: ProductModels) -> None:
    own = old.products.get(name)
    ours = {name, own.embedder, own.search} if own is not None else set()
    there = {path.name for path in directory.iterdir() if path.is_dir()} if directory.exists() else set()
    for wanted in (name, models.search):
        if wanted in old.models_of(but=name) or wanted in there - ours:
            raise OptionError(
                f"{directory} has another model named {wanted!r} already.",
                "Name another directory, or fit with another --name.",
            )


def _keep_others(directory: Path, staging: Path, old: _Index, new: _Index, name: str) -> None:
    """Take over what is there, but for models that are written anew or that no product needs any more."""
    needed = new.models_of(but=name)
    dropped = {name, new.products[name].search, *(old.models_of(but="") - needed)}
    for path in directory.rglob("*") if directory.is_dir() else ():
        place = path.relative_to(directory)
        if place.parts[0] in dropped:
            continue
        if path.is_dir():  # some models have an empty one for their version
            (staging / place).mkdir(exist_ok=True, parents=True)
        else:
            link_or_copy(path, staging / place)


def _place(staging: Path, model: str, name: str) -> Path:
    """Where a file of a model's only version goes; one that was taken over may be in use elsewhere."""
    path = staging / model / "1" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def _plan(bundle: Bundle, batch: int) -> bytes:
    """TensorRT's own file of the embedder: that of the bundle's engine if it takes such batches, or new."""
    source = bundle.file(EMBEDDER_FILE)
    name = engine_name(source)
    if bundle.has(name):
        info, plan = read_engine(bundle.file(name))
        if info.inputs["images"][2][0] >= batch:
            return plan
    with TemporaryDirectory() as folder:
        build_engine(
            source,
            Path(folder) / name,
            image_size=bundle.manifest.preprocessing.input_size,
            max_batch=batch,
            usual_batch=batch,
            timing_cache=default_cache_directory() / "tensorrt" / timing_cache_name(),
        )
        return read_engine(Path(folder) / name)[1]


def _write_texts(staging: Path, bundle: Bundle, index: _Index, configs: dict[str, str]) -> None:
    # Triton asks for the folder of a version, which for models in a row has nothing of its own to hold.
    metadata = _place(staging, bundle.manifest.name, "metadata.json")
    steps = {name: (models.embedder, models.search) for name, models in index.products.items()}
    texts = {
        metadata: _json(Metadata.of(bundle)),
        staging / INDEX_FILE: _json(index),
        **{staging / model / "config.pbtxt": text for model, text in configs.items()},
        **{staging / name: text for name, text in guide_files(steps).items()},
    }
    for path, text in texts.items():
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


@contextmanager
def _explain_disk_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{directory} cannot be written: {error.strerror or error}.",
            "Nothing was changed. Check the permissions and the free space, or name another directory.",
        ) from error
