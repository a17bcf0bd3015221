"""The four folders: what they export, what they may know of each other, and what a device needs."""

import ast
import importlib
import importlib.metadata
import inspect
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("banks", "camera", "export")
FACADES = ("pcedge.banks", "pcedge.camera", "pcedge.export")
FOLDERS = ("pcedge", *PARTS)
# Only these may need what `pip install pcedge[fit]` adds.
WORKSTATION = {
    "pcedge.backbones",
    "pcedge.baselines.ae.network",
    "pcedge.baselines.gan.network",
    "pcedge.baselines.padim.fitter",
    "pcedge.baselines.padim.network",
    "pcedge.baselines.pyramid",
    "pcedge.baselines.reconstruction.fitter",
    "pcedge.baselines.reconstruction.pixels",
    "pcedge.baselines.reconstruction.training",
    "pcedge.baselines.spade.fitter",
    "pcedge.baselines.spade.network",
    "pcedge.compact",
    "pcedge.demo",
    "pcedge.distillation",
    "pcedge.distillation.augmentation",
    "pcedge.distillation.batches",
    "pcedge.distillation.checkpoint",
    "pcedge.distillation.distill",
    "pcedge.distillation.fields",
    "pcedge.distillation.marks",
    "pcedge.distillation.materials",
    "pcedge.distillation.objective",
    "pcedge.distillation.options",
    "pcedge.distillation.scenes",
    "pcedge.distillation.shapes",
    "pcedge.distillation.sources",
    "pcedge.distillation.teacher",
    "pcedge.distillation.training",
    "pcedge.distillation.weights",
    "pcedge.encoders.clip_network",
    "pcedge.encoders.dinov2_network",
    "pcedge.encoders.hub",
    "pcedge.encoders.networks",
    "pcedge.encoders.tokens",
    "pcedge.embedder",
    "pcedge.embedding",
    "pcedge.finetuning",
    "pcedge.finetuning.choosing",
    "pcedge.finetuning.drift",
    "pcedge.finetuning.finetune",
    "pcedge.finetuning.pictures",
    "pcedge.finetuning.separation",
    "pcedge.finetuning.stages",
    "pcedge.finetuning.tasks",
    "pcedge.finetuning.tuning",
    "pcedge.finetuning.views",
    "pcedge.hub",
    "pcedge.torch_network",
}
HEAVY = (
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "safetensors",
    "tensorrt",
    "polygraphy",
    "timm",
    "open_clip",
    "huggingface_hub",
)
# Common in this field, whether or not they are installed here.
KNOWN = {"faiss", "onnx", "onnxruntime", "pycuda", "tensorrt", "torch", "torchvision", "anomalib", "timm"}

HIDE = """
import importlib, importlib.abc, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

hidden = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Hide())
"""


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _module(path: Path) -> str:
    """The name a source file is imported by."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] != "pcedge":
        parts.insert(0, "pcedge")
    return ".".join(parts).removesuffix(".__init__")


MODULES = [
    name
    for folder in FOLDERS
    for name in map(_module, _sources(folder))
    if not name.endswith("__main__")  # which runs the command line
]


@pytest.mark.parametrize("name", FACADES)
def test_a_facade_lists_just_what_is_there(name: str) -> None:
    facade = importlib.import_module(name)
    there = {
        attribute
        for attribute, value in vars(facade).items()
        if not attribute.startswith("_") and not inspect.ismodule(value)
    }

    assert sorted(facade.__all__) == sorted(there)
    assert len(set(facade.__all__)) == len(facade.__all__)


def test_the_package_gives_every_name_it_lists() -> None:
    package = importlib.import_module("pcedge")

    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(package, "nonsense")  # noqa: B009


@pytest.mark.parametrize("name", ["pcedge", "pcedge.cli", *FACADES])
def test_what_a_facade_lists_is_documented(name: str) -> None:
    facade = importlib.import_module(name)

    assert facade.__doc__
    things = [getattr(facade, public) for public in facade.__all__]
    code = [thing for thing in things if inspect.isclass(thing) or inspect.isfunction(thing)]
    assert code
    assert [thing.__name__ for thing in code if not inspect.getdoc(thing)] == []


def test_the_folders_never_become_modules_of_their_own() -> None:
    code = "import importlib, sys\nfor name in sys.argv[1].split(','): importlib.import_module(name)\n"

    loaded = _python(code + "print(*sys.modules)", ",".join(MODULES)).split()

    assert set(PARTS) & set(loaded) == set()
    assert set(MODULES) <= set(loaded)


def test_every_package_is_listed_for_the_wheel_and_mapped_to_its_folder() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")
    with (ROOT / "pyproject.toml").open("rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    folders = {
        _module(path): path.parent.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in _sources(folder)
        if path.name == "__init__.py"
    }

    assert sorted(setuptools["packages"]) == sorted(folders)
    assert setuptools["package-dir"] == folders
    assert all((path.parent / "__init__.py").is_file() for f in FOLDERS for path in _sources(f))


def test_the_wheel_holds_the_network_that_ships_and_is_small(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="building without a network needs setuptools")
    source = tmp_path / "source"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 6_000_000
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.file_size for info in archive.infolist()}
    assert {"pcedge/report/template.typ", "pcedge/report/page.css"} <= set(files)
    assert 1_000_000 < files["pcedge/weights/pcedge-s.safetensors"] < 4_000_000
    assert files["pcedge/reference/mvtec_official.csv"] > 1_000
    assert {f"{name.replace('.', '/')}/__init__.py" for name in ("pcedge", *FACADES)} <= set(files)
    assert not [name for name in files if name.endswith((".pyi", ".pth")) or name.startswith(PARTS)]


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file, also inside functions, as (line, absolute name or dots and name)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


@pytest.mark.parametrize("folder", PARTS)
def test_a_part_knows_nothing_of_the_product_but_its_errors(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _sources(folder)
        for line, name in _imports(path)
        if name.startswith("..")
        or (name.split(".")[0] == "pcedge" and name != "pcedge.errors")
        or name.split(".")[0] in PARTS
    ]

    assert wrong == []


def test_the_product_uses_the_parts_by_their_facades() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _sources("pcedge")
        for line, name in _imports(path)
        if name.split(".")[0] in PARTS or (name.startswith(tuple(f"{facade}." for facade in FACADES)))
    ]

    assert wrong == []


def test_no_module_is_named_like_a_library() -> None:
    # Python started in a folder would import our file instead of the library.
    installed = {
        name
        for name, packages in importlib.metadata.packages_distributions().items()
        if packages != ["pcedge"]
    }
    libraries = (installed | KNOWN | set(sys.stdlib_module_names)) - {"__init__", "__main__"}
    names = {path.stem for folder in FOLDERS for path in _sources(folder)}

    assert names & libraries == set()


@pytest.mark.parametrize("name", ["pcedge", "pcedge.cli", "pcedge.camera", "pcedge.banks", "pcedge.export"])
def test_importing_is_light(name: str) -> None:
    loaded = _python(f"import sys, {name}; print(*sys.modules)").split()

    assert {*HEAVY, "faiss", "onnxruntime", "scipy", "sklearn"} & set(loaded) == set()


def test_the_device_side_needs_none_of_the_workstation_s_libraries() -> None:
    device = [name for name in MODULES if name not in WORKSTATION]

    done = _python(
        HIDE + "for name in sys.argv[2].split(','): importlib.import_module(name)\nprint('done')",
        ",".join(HEAVY),
        ",".join(device),
    )

    assert done.strip() == "done"
    assert set(MODULES) >= WORKSTATION


@pytest.mark.parametrize("name", sorted(WORKSTATION))
def test_the_workstation_side_is_no_larger_than_it_need_be(name: str) -> None:
    code = HIDE + (
        "try: importlib.import_module(sys.argv[2])\nexcept ModuleNotFoundError as error: print(error.name)\n"
    )

    assert _python(code, ",".join(HEAVY), name).strip() in HEAVY
