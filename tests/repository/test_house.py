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

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("banks", "camera", "export")
FACADES = ("pcedge.banks", "pcedge.camera", "pcedge.export")
FOLDERS = ("pcedge", *PARTS)
# What `pip install pcedge[fit]` adds is needed below a folder of this name, and nowhere else.
WORKSTATION = "networks"
# From the top down: each folder of pcedge/, and of camera/, imports only from itself and from those after it.
ARROWS = {
    "pcedge": (
        *("cli", "line", "studies", "deployment", "evaluation", "adaptation", "methods", "fitting"),
        *("inspection", "networks", "thresholds", "bundles", "datasets", "core", "errors"),
    ),
    "camera": (
        *("loop", "status", "sinks", "parts", "drift", "drawing", "stream", "sources", "events"),
        *("frames", "quality", "images", "util"),
    ),
    "banks": ("bank", "search", "approximate", "coreset", "faiss_file", "stored_arrays"),
    "export": ("engines", "runtimes", "precisions", "graphs", "triton_config"),
}
# Entries a level, at most: more is searched, not read.
MOST = 15
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


PACKAGES = {_module(path) for folder in FOLDERS for path in _sources(folder) if path.name == "__init__.py"}


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


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_is_a_package_of_a_few_modules(folder: str) -> None:
    folders = {path.parent for path in _sources(folder)}
    entries = {
        one.relative_to(ROOT).as_posix(): [
            path
            for path in one.iterdir()
            if (path.suffix == ".py" and not path.name.startswith("__")) or path in folders
        ]
        for one in folders
    }

    assert [one for one in folders if not (one / "__init__.py").is_file()] == []
    assert {one: len(found) for one, found in entries.items() if len(found) > MOST} == {}


def test_no_folder_of_the_product_is_named_like_a_public_function() -> None:
    public = set(importlib.import_module("pcedge").__all__)
    folders = {path.parent.name for path in _sources("pcedge") if path.parent != ROOT / "pcedge"}

    assert folders & public == set()


def test_the_wheel_holds_the_network_that_ships_and_is_small(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="building without a network needs setuptools")
    source = tmp_path / "source"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
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
    assert {"pcedge/studies/report/render/template.typ", "pcedge/studies/report/render/page.css"} <= set(
        files
    )
    assert 1_000_000 < files["pcedge/networks/weights/pcedge-s.safetensors"] < 4_000_000
    assert files["pcedge/evaluation/reference/mvtec_official.csv"] > 1_000
    assert {f"{name.replace('.', '/')}.py" for name in MODULES if name not in PACKAGES} <= set(files)
    assert {f"{name.replace('.', '/')}/__init__.py" for name in PACKAGES} <= set(files)
    assert not [name for name in files if name.endswith((".pyi", ".pth")) or name.startswith(PARTS)]


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file, also inside functions, as (line, absolute name)."""
    own = _module(path).split(".")
    package = own if path.name == "__init__.py" else own[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                yield node.lineno, inside if inside in MODULES else base


def _part(name: str) -> str:
    """Which of the four folders a module is in."""
    names = name.split(".")
    return names[1] if names[1:2] and names[1] in PARTS else names[0]


@pytest.mark.parametrize("folder", PARTS)
def test_a_part_knows_nothing_of_the_product_but_its_errors(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _sources(folder)
        for line, name in _imports(path)
        if (name.split(".")[0] == "pcedge" and _part(name) != folder and name != "pcedge.errors")
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_arrows_go_one_way(folder: str) -> None:
    order = ARROWS[folder]
    root = "pcedge" if folder == "pcedge" else f"pcedge.{folder}"

    def room(name: str) -> str | None:
        inside = name.removeprefix(f"{root}.") if name.startswith(f"{root}.") and name in MODULES else ""
        return inside.split(".")[0] if inside and _part(name) == folder else None

    rooms = {room(name) for name in MODULES} - {None}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _sources(folder)
        for line, name in _imports(path)
        if (here := room(_module(path))) and (there := room(name)) and order.index(there) < order.index(here)
    ]

    assert rooms <= set(order)
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        _module(path): {name for _, name in _imports(path) if name in MODULES}
        for folder in FOLDERS
        for path in _sources(folder)
    }
    # What imports nothing that is left goes, until nothing goes any more: circles stay.
    while leaves := {name for name, imported in graph.items() if not imported & graph.keys() - {name}}:
        graph = {name: imported for name, imported in graph.items() if name not in leaves}
    # So does what is only imported by nothing: it leads to circles without being in one.
    while unused := graph.keys() - {one for name, found in graph.items() for one in found if one != name}:
        graph = {name: imported for name, imported in graph.items() if name not in unused}

    assert sorted(graph) == []


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


def _for_a_workstation(name: str) -> bool:
    return WORKSTATION in name.split(".")


def test_the_device_side_needs_none_of_the_workstation_s_libraries() -> None:
    device = [name for name in MODULES if not _for_a_workstation(name)]

    done = _python(
        HIDE + "for name in sys.argv[2].split(','): importlib.import_module(name)\nprint('done')",
        ",".join(HEAVY),
        ",".join(device),
    )

    assert done.strip() == "done"


def test_pytorch_is_imported_by_networks_alone_and_elsewhere_only_where_it_is_used() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in FOLDERS
        for path in _sources(folder)
        if not _for_a_workstation(_module(path))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
        if name.split(".")[0] in HEAVY
    ]

    assert wrong == []


def test_the_name_of_a_class_has_one_meaning_and_the_readme_is_short() -> None:
    from benchmarks.house.__main__ import measure

    found = measure(ROOT)

    assert found["names_with_two_meanings"] == {}
    assert found["circles"] == []
    assert found["readme_words"] < 700
