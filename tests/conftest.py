"""What tests of the whole product share: the real command, a small rendered line, a fitted bundle."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .forked_python import run_forked

SHARED = Path(__file__).resolve().parents[2] / "shared"
COMMAND = Path(sys.executable).with_name("pcedge")
COMMAND_CODE = "from pcedge.cli import main\nmain()\n"
# Before the command, makes it run as on a device: the libraries that only `fit` installs cannot be imported.
WITHOUT_TORCH = (
    "import sys\n"
    "for name in ('torch', 'torchvision', 'onnx', 'onnxscript', 'safetensors'):\n"
    "    sys.modules[name] = None\n"
)

Run = Callable[..., subprocess.CompletedProcess[str]]
Once = Callable[[str, Callable[[Path], None]], Path]

# The same examples in every run, however busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

# A console takes its width once, when it is made, which is before most tests.
os.environ["COLUMNS"] = "200"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no core waits for another in the end."""
    items.sort(key=lambda item: item.path.name != "test_real_images.py")


def _run(
    *arguments: str | Path,
    cwd: Path | None = None,
    torch: bool = True,
    timeout_s: float = 240,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return run_forked(
        COMMAND_CODE if torch else WITHOUT_TORCH + COMMAND_CODE,
        list(map(str, arguments)),
        cwd=cwd,
        timeout_s=timeout_s,
        env={**os.environ, "COLUMNS": "200"} | (env or {}),
    )


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests out of the user's cache and state, and each run out of the one before."""
    os.environ["PCEDGE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["PCEDGE_STATE"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let tests interrupt what they start: a shell's background jobs, and their children, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def pcedge() -> Run:
    """Run the real command; ``torch=False`` runs it as where torch is not installed."""
    return _run


@dataclass(frozen=True)
class Line:
    """A small rendered line and the models directory with the bundle ``line`` fitted on it."""

    dataset: Path
    models: Path


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once in a run, whatever the number of workers; who asks meanwhile waits for it.

    What is in the folder is for all: a test copies it, or reads only.
    """
    from pcedge.core.files import alone_with

    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        made, unfinished = common / name, common / f"{name}-unfinished"
        lock = common / f"{name}-lock"
        lock.mkdir(exist_ok=True)
        with alone_with(lock):
            if not made.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(made)
        return made

    return folder


@pytest.fixture(scope="session")
def _fitted_line(once: Once) -> Line:
    """A rendered line, fitted and exported by the real commands; copied, never used."""
    root = once("fitted", _fit_line)
    return Line(root / "line", root / "models")


def _fit_line(root: Path) -> None:
    from pcedge.camera import write_dataset

    line = Line(root / "line", root / "models")
    write_dataset(line.dataset, train=24, test_good=6, per_defect=2)
    options = ("--backbone", "pcedge-s", "--models", line.models)
    for arguments in (("fit", line.dataset, *options), ("export", "--models", line.models)):
        done = _run(*arguments)
        assert done.returncode == 0, done.stderr


def _copied(line: Line, to: Path) -> Line:
    copy = Line(to / "line", to / "models")
    shutil.copytree(line.dataset, copy.dataset)
    shutil.copytree(line.models, copy.models)
    return copy


@pytest.fixture(scope="session")
def exported_line(_fitted_line: Line, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A fitted and exported line, shared: a test may leave there what inspecting leaves, and nothing else."""
    return _copied(_fitted_line, tmp_path_factory.mktemp("exported"))


@pytest.fixture
def line(_fitted_line: Line, tmp_path: Path) -> Line:
    """The same as it was fitted, for one test, which may change it."""
    return _copied(_fitted_line, tmp_path)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images and weights beside the checkout."""
    if not (SHARED / "weights" / "resnet18.pth").is_file():
        pytest.skip(f"needs the real images and weights in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def triton_schema() -> Any:
    """Triton's schema of model configurations, without its client, which needs libraries of its own."""
    client = importlib.util.find_spec("tritonclient")
    if client is None or client.origin is None:
        pytest.skip("needs the schema that comes with tritonclient")
    path = Path(client.origin).with_name("grpc") / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def good_images() -> Callable[..., Path]:
    """Make a folder of so many images of good parts."""
    from pcedge.camera import render_part, write_image

    def make(folder: Path, count: int = 6) -> Path:
        folder.mkdir(parents=True)
        for seed in range(count):
            write_image(folder / f"{seed}.png", render_part(seed, size=128).image_rgb)
        return folder

    return make


@pytest.fixture(scope="session")
def assert_clear() -> Callable[..., None]:
    """Check that a command ended with an exit code and a message with these words, not a traceback."""

    def check(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in done.stderr.replace("\n", " "), f"{word!r} is not in: {done.stderr}"

    return check
