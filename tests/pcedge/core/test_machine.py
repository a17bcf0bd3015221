"""What a certificate says of a machine with GPUs, on one that has none."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from pcedge.core import machine
from pcedge.core.machine import describe_machine, library_versions

GPUS = ("NVIDIA H100", "NVIDIA T4")


class _Driver:
    """libcuda with two GPUs, as far as their names go."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._opened = -1

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        self._opened = number
        return 0 if number < len(GPUS) else 101

    def cuDeviceGetName(self, buffer: Any, size: int, device: Any) -> int:  # noqa: N802
        buffer.value = GPUS[self._opened].encode()
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = self._version
        return 0 if self._version else 3


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two GPUs, and a folder for what the system says of them."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: _Driver(12040))
    monkeypatch.setattr(machine, "_DRIVER", tmp_path / "driver")
    monkeypatch.setattr(machine, "_JETSON", tmp_path / "jetson")
    monkeypatch.setattr(machine, "_SYSTEM_FOLDERS", (str(tmp_path / "system"),))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", None),
        ("cuda", GPUS[0]),
        ("cuda:0", GPUS[0]),
        ("cuda:1", GPUS[1]),
        ("cuda:2", None),
        ("tensorrt", GPUS[0]),
        ("tensorrt:1", GPUS[1]),
    ],
)
def test_the_gpu_named_is_the_one_that_was_used(gpus: Path, device: str, name: str | None) -> None:
    assert describe_machine(device).gpu == name


def test_what_runs_on_the_processor_does_not_ask_for_a_driver(gpus: Path) -> None:
    assert not {"nvidia-driver", "cuda-driver", "libcudnn.so"} & set(library_versions())
    assert {"python", "numpy", "onnxruntime"} <= set(library_versions("cuda"))


def test_the_driver_is_named_by_its_own_version_and_that_of_cuda(gpus: Path) -> None:
    (gpus / "driver").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
        "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
    )

    versions = library_versions("cuda")

    assert (versions["nvidia-driver"], versions["cuda-driver"]) == ("550.54.15", "12.4")


def test_on_a_jetson_the_system_s_release_stands_for_the_driver(gpus: Path) -> None:
    (gpus / "jetson").write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")

    assert library_versions("cuda")["nvidia-driver"] == "R36 (release), REVISION: 4.3"


def test_without_a_driver_nothing_is_made_up(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)

    assert describe_machine("cuda").gpu is None
    assert not {"nvidia-driver", "cuda-driver"} & set(library_versions("cuda"))


def test_libraries_of_the_system_are_named_by_their_files(
    gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, own = gpus / "system", gpus / "own"
    for folder, name in ((system, "libcudnn.so.9.1.0"), (own, "libcudart.so.12.4.127")):
        folder.mkdir()
        (folder / name).touch()
        short = folder / name.rsplit(".", 2)[0]
        short.symlink_to(folder / name)
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{own}:/nowhere")

    versions = library_versions("cuda")

    assert (versions["libcudnn.so"], versions["libcudart.so"]) == ("9.1.0", "12.4.127")
    assert "libnvinfer.so" not in versions
