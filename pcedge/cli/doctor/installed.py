"""Checks of installed packages: Python, extras, conflicts."""

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distributions, requires, version

from .finding import CheckResult, fail, ok, warn

# Conflicting packages that install the same module: the last one installed wins, or neither works.
_RIVALS = {
    "ONNX Runtime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    "OpenCV": (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "FAISS": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
}
_EXTRAS = ("cpu", "gpu", "trt", "fit", "backbones", "line", "milvus", "report")
_PYTHON = ((3, 10), (3, 14))


def installed_versions() -> dict[str, str]:
    """Versions of all installed packages, by lower-case name."""
    return {
        (found.metadata["Name"] or "").lower().replace("_", "-"): found.version for found in distributions()
    }


def check_python(python: tuple[int, int] = sys.version_info[:2]) -> CheckResult:
    """Check that this Python version is supported."""
    shown = ".".join(map(str, python))
    if _PYTHON[0] <= python < _PYTHON[1]:
        return ok("Python", f"{shown}, pcedge {_own_version()}")
    return fail("Python", f"{shown} is not supported", "Use Python 3.10 to 3.13.")


def check_rivals(versions: Mapping[str, str]) -> list[CheckResult]:
    """Check that no conflicting packages are installed."""
    found = []
    for subject, rivals in _RIVALS.items():
        there = [name for name in rivals if name in versions]
        shown = ", ".join(f"{name} {versions[name]}" for name in there)
        if len(there) > 1:
            keep = there[0] if subject != "ONNX Runtime" else "the one for your device"
            advice = f"Remove all of them, then install {keep} again: pip uninstall {' '.join(there)}"
            found.append(fail(subject, f"{shown} install the same module", advice))
        elif there:
            found.append(ok(subject, shown))
        elif subject == "ONNX Runtime":
            advice = "Install one: pip install 'pcedge[cpu]', or [gpu] with an NVIDIA GPU."
            found.append(fail(subject, "not installed, so that no exported network can run", advice))
        else:
            advice = "On a Jetson it may come with the system; elsewhere: pip install pcedge"
            found.append(warn(subject, "not installed with pip", advice))
    return found


def check_extras(versions: Mapping[str, str]) -> CheckResult:
    """Report which extras are fully installed; all are optional."""
    complete = [extra for extra in _EXTRAS if _needed_by(extra) and _needed_by(extra) <= set(versions)]
    missing = [extra for extra in _EXTRAS if extra not in complete]
    text = f"installed: {', '.join(complete) or 'none'}"
    return ok("Extras", f"{text}; not installed: {', '.join(missing)}" if missing else text)


def _needed_by(extra: str) -> set[str]:
    """Names of the packages in an extra."""
    found = set()
    for line in _own_requirements():
        name, _, marker = line.partition(";")
        if marker.replace("'", '"').replace(" ", "") == f'extra=="{extra}"':
            found.add(name.strip().split("[")[0].rstrip("0123456789.<>=!~, ").lower())
    return found


def _own_requirements() -> list[str]:
    try:
        return requires("pcedge") or []
    except PackageNotFoundError:
        return []


def _own_version() -> str:
    try:
        return version("pcedge")
    except PackageNotFoundError:
        return "from a checkout"
