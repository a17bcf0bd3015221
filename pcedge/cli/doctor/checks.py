"""The list of all checks, in the order shown."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pcedge.core.defaults import DEFAULT_MODELS, default_cache_directory
from pcedge.errors import PcedgeError

from . import devices, engines, host, installed, models
from .finding import CheckResult, fail

Check = Callable[[], list[CheckResult]]


def check_machine(
    output: Path = Path("inspections"), model: str | None = None, models_dir: Path = DEFAULT_MODELS
) -> Iterator[CheckResult]:
    """Run all checks; yields each result when it is ready.

    Args:
        output: Directory for results.
        model: The bundle to check; None for the current one.
        models_dir: Directory of bundles.
    """
    versions = installed.installed_versions()
    gpu = engines.find_gpu()
    checks: list[Check] = [
        lambda: [host.check_processor(), installed.check_python()],
        lambda: installed.check_rivals(versions),
        lambda: [installed.check_extras(versions)],
        lambda: engines.check_onnx_runtime(gpu),
        lambda: [engines.check_tensorrt(gpu), engines.check_tensorrt_rtx(), engines.check_torch()],
        devices.check_cameras,
        lambda: [host.check_disk(output, "Disk for results")],
        lambda: [host.check_disk(default_cache_directory(), "Disk for the cache", little_gb=2)],
        lambda: [host.check_memory(), host.check_clock(host.clock_synchronised())],
        lambda: [host.check_power(host.find_power_mode()), host.check_user()],
        lambda: models.check_bundle(model, models_dir),
    ]
    for check in checks:
        yield from _safely(check)


def _safely(check: Check) -> list[CheckResult]:
    """Run a check; if it raises, report that as a result, and the others go on."""
    try:
        return check()
    except PcedgeError as error:
        return [fail("Check", error.what, error.hint)]
    except Exception as error:  # broken installations can raise anything
        return [fail("Check", f"{type(error).__name__}: {error}", "Please report this.")]
