import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pcedge.cli import app
from pcedge.cli.doctor import CheckResult, CheckState, check_machine
from pcedge.cli.doctor.checks import _safely
from pcedge.cli.doctor.devices import check_cameras
from pcedge.cli.doctor.engines import check_onnx_runtime, check_tensorrt, check_tensorrt_rtx
from pcedge.cli.doctor.host import check_clock, check_disk, check_memory, check_power, clock_synchronised
from pcedge.cli.doctor.installed import check_python, check_rivals, installed_versions
from pcedge.cli.doctor.models import check_bundle
from pcedge.errors import BundleError


def _states(findings: list[CheckResult]) -> dict[str, CheckState]:
    return {finding.subject: finding.state for finding in findings}


@pytest.mark.parametrize(
    ("python", "state"),
    [
        ((3, 9), CheckState.FAIL),
        ((3, 10), CheckState.OK),
        ((3, 13), CheckState.OK),
        ((3, 14), CheckState.FAIL),
    ],
)
def test_python_must_be_one_that_is_supported(python: tuple[int, int], state: CheckState) -> None:
    assert check_python(python).state == state


@pytest.mark.parametrize(
    ("versions", "subject", "state", "words"),
    [
        ({"onnxruntime": "1.20"}, "ONNX Runtime", CheckState.OK, "onnxruntime 1.20"),
        (
            {"onnxruntime": "1.20", "onnxruntime-gpu": "1.20"},
            "ONNX Runtime",
            CheckState.FAIL,
            "pip uninstall onnxruntime onnxruntime-gpu",
        ),
        ({}, "ONNX Runtime", CheckState.FAIL, "pcedge[cpu]"),
        ({"opencv-python": "5.0"}, "OpenCV", CheckState.OK, "opencv-python 5.0"),
        (
            {"opencv-python": "5.0", "opencv-python-headless": "4.9"},
            "OpenCV",
            CheckState.FAIL,
            "install the same module",
        ),
        ({}, "OpenCV", CheckState.WARN, "not installed with pip"),
        ({"faiss-cpu": "1.8", "faiss-gpu": "1.7"}, "FAISS", CheckState.FAIL, "faiss-gpu 1.7"),
    ],
)
def test_packages_in_each_other_s_way_are_found(
    versions: dict[str, str], subject: str, state: CheckState, words: str
) -> None:
    (finding,) = [one for one in check_rivals(versions) if one.subject == subject]

    assert finding.state == state
    assert words in f"{finding.what} {finding.advice}"


def test_names_of_installed_packages_are_as_the_index_has_them() -> None:
    assert {"opencv-python", "faiss-cpu", "msgspec"} <= set(installed_versions())


def test_the_runtimes_here_compute() -> None:
    pytest.importorskip("onnxruntime")

    assert _states(check_onnx_runtime(None))["ONNX Runtime, CPU"] == CheckState.OK


def test_a_gpu_that_nothing_can_use_is_said() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime can use a GPU")

    assert _states(check_onnx_runtime("NVIDIA H200"))["ONNX Runtime, GPU"] == CheckState.WARN


def test_tensorrt_s_type_stubs_are_not_taken_for_tensorrt() -> None:
    assert check_tensorrt(None).state == CheckState.OK


def test_cameras_are_named_and_those_that_may_not_be_opened_are_said(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        (tmp_path / "sys" / f"video{number}").mkdir(parents=True)
        (tmp_path / "sys" / f"video{number}" / "name").write_text(f"Camera {number}\n")
        (tmp_path / f"video{number}").touch()
    (tmp_path / "video10").chmod(0)

    findings = check_cameras(tmp_path, tmp_path / "sys")

    assert [finding.subject for finding in findings] == ["Camera video0", "Camera video2", "Camera video10"]
    assert "Camera 2" in findings[1].what
    if os.geteuid() != 0:  # whom no file is closed to
        assert findings[2].state == CheckState.WARN
        assert "group video" in findings[2].advice


def test_no_camera_is_no_fault(tmp_path: Path) -> None:
    assert [finding.state for finding in check_cameras(tmp_path)] == [CheckState.OK]


def test_a_disk_is_looked_at_where_results_would_go_and_nothing_is_left_there(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"

    assert check_disk(folder, "Disk").state == CheckState.OK
    assert check_disk(folder, "Disk", little_gb=1e9).state == CheckState.WARN
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = check_disk(tmp_path / "file", "Disk")

    assert (finding.state, "cannot be written to" in finding.what) == (CheckState.FAIL, True)


@pytest.mark.parametrize(
    ("synchronised", "state"), [(True, CheckState.OK), (None, CheckState.OK), (False, CheckState.WARN)]
)
def test_a_clock_that_runs_alone_is_a_warning(synchronised: bool | None, state: CheckState) -> None:
    assert check_clock(synchronised).state == state
    assert clock_synchronised() in (True, False, None)


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        (None, CheckState.OK),
        ("performance", CheckState.OK),
        ("schedutil", CheckState.OK),
        ("powersave", CheckState.WARN),
        ("MAXN_SUPER", CheckState.OK),
        ("15W", CheckState.WARN),
    ],
)
def test_a_machine_that_is_held_back_is_a_warning(mode: str | None, state: CheckState) -> None:
    assert check_power(mode).state == state


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("MemTotal: 8000000 kB\nMemAvailable: 500000 kB\n", CheckState.WARN),
        ("MemTotal: 8000000 kB\nMemAvailable: 5000000 kB\n", CheckState.OK),
        ("", CheckState.OK),
        ("nonsense", CheckState.OK),
    ],
)
def test_little_memory_is_a_warning(tmp_path: Path, text: str, state: CheckState) -> None:
    (tmp_path / "meminfo").write_text(text)

    assert check_memory(tmp_path / "meminfo").state == state


def test_a_bundle_is_checked_to_the_last_byte(line: Any) -> None:
    models: Path = line.models
    findings = check_bundle(None, models)
    assert _states(findings)["Bundle"] == CheckState.OK
    assert _states(findings)["Certificate"] in (CheckState.OK, CheckState.WARN)

    bank = next(models.glob("*/bank.faiss"))
    content = bytearray(bank.read_bytes())
    content[-1] ^= 1
    bank.unlink()  # it may be linked to from elsewhere
    bank.write_bytes(content)

    (finding,) = check_bundle(None, models)
    assert (finding.state, "was changed or damaged" in finding.what) == (CheckState.FAIL, True)


def test_no_bundle_is_no_fault_but_one_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert [finding.state for finding in check_bundle(None, tmp_path / "models")] == [CheckState.OK]
    assert [finding.state for finding in check_bundle("bottle", tmp_path)] == [CheckState.FAIL]


def test_a_check_that_fails_itself_is_a_finding() -> None:
    def broken() -> list[CheckResult]:
        raise ZeroDivisionError("mistake")

    def clear() -> list[CheckResult]:
        raise BundleError("What.", "Hint.")

    assert [(one.state, one.what) for one in _safely(broken) + _safely(clear)] == [
        (CheckState.FAIL, "ZeroDivisionError: mistake"),
        (CheckState.FAIL, "What."),
    ]
    assert [one.advice for one in _safely(clear)] == ["Hint."]


def test_whatever_is_not_well_comes_with_advice(tmp_path: Path) -> None:
    for finding in check_machine(tmp_path, None, tmp_path / "models"):
        assert finding.what
        assert finding.advice or finding.state == CheckState.OK, finding


def test_the_command_prints_a_table_or_json_and_its_exit_code_says_the_worst(tmp_path: Path) -> None:
    run = CliRunner()
    arguments = ["doctor", "--models", str(tmp_path / "models"), "--output", str(tmp_path)]

    as_json = run.invoke(app, [*arguments, "--json"])
    found = json.loads(as_json.stdout)
    states = {finding["state"] for finding in found}
    assert states <= {"OK", "WARN", "FAIL"}
    assert as_json.exit_code == (1 if "FAIL" in states else 3 if "WARN" in states else 0)

    missing = run.invoke(app, [*arguments, "--model", "missing"])
    assert missing.exit_code == 1
    assert re.search(r"FAIL.*Bundle", missing.stdout)


def test_tensorrt_for_rtx_is_tried_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_tensorrt_rtx()
    assert found.state == CheckState.OK
    assert ("parses networks" in found.what) == (find_spec("tensorrt_rtx") is not None)

    monkeypatch.setattr("pcedge.cli.doctor.engines.rtx_version", lambda: "1.7.1")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    broken = check_tensorrt_rtx()
    assert broken.state == CheckState.FAIL
    assert "cannot be used" in broken.what
