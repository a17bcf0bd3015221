"""Output of ``pcedge fit --method`` for methods without a memory bank."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.fitting.options import FitOptions
    from pcedge.fitting.result import FitResult
    from pcedge.methods import AnyBundle


def settings_of(given: Sequence[str]) -> dict[str, str]:
    """The settings from ``--set NAME=VALUE``, by name."""
    return dict(_pair(one) for one in given)


def print_fit(result: "FitResult[AnyBundle]", options: "FitOptions", *, json: bool) -> None:
    """Print the result of a fit."""
    if json:
        _print_json(result)
    else:
        _print_summary(result, options)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise OptionError(f"--set {text!r} sets nothing.", "Write it as --set NAME=VALUE, such as dims=100.")
    return name.strip(), value.strip()


def _print_json(result: "FitResult[AnyBundle]") -> None:
    from dataclasses import asdict
    from json import dumps

    from pcedge.methods import method_for

    from .fit_notes import offline_reason

    manifest = result.bundle.manifest
    facts, backbone = method_for(result.bundle).facts(result.bundle), manifest.backbone
    print(
        dumps(
            {
                "bundle": str(result.bundle.directory),
                "method": manifest.method,
                "settings": dict(facts.options),
                "backbone": backbone.name if backbone else None,
                "backbone_weights": backbone.weights if backbone else None,
                "offline_default": offline_reason(result),
                "images": manifest.images,
                "skipped": manifest.skipped,
                "cached": result.cached,
                "threshold": manifest.threshold.score,
                "false_reject_rate": manifest.threshold.false_reject_rate,
                "outliers": result.outliers,
                "left_out": [asdict(one) for one in result.left_out],
                "notes": facts.notes,
                "seconds": result.seconds,
                "bytes": result.bundle.nbytes,
            }
        )
    )


def _print_summary(result: "FitResult[AnyBundle]", options: "FitOptions") -> None:
    from pcedge.cli.console import Facts, out, say
    from pcedge.methods import method_for

    from .fit_notes import print_notes

    manifest, method = result.bundle.manifest, method_for(result.bundle)
    facts = method.facts(result.bundle)
    limit, backbone = manifest.threshold, manifest.backbone
    table = Facts(f"Fitted {manifest.dataset}")
    table.add("method", method.title)
    table.add("settings", ", ".join(f"{name} = {value}" for name, value in facts.options.items()))
    table.add("images", f"{manifest.images}, {result.cached} from the cache, {len(manifest.skipped)} skipped")
    if backbone is not None:
        note = "; the offline default, see below" if result.offline_default else ""
        table.add("backbone", f"{backbone.name}, {backbone.weights}{note}")
        table.add("layers", ", ".join(backbone.layers))
    table.add("grid", f"{facts.grid_hw[0]} x {facts.grid_hw[1]}")
    table.add("size", f"{result.bundle.nbytes / 1e6:,.1f} MB")
    table.add(
        "threshold", f"{limit.score:.4g}, false-reject rate {limit.false_reject_rate:.2%} ({limit.method})"
    )
    times = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items())
    table.add("seconds", f"{sum(result.seconds.values()):.1f} ({times})")
    table.add("bundle", f"{result.bundle.directory} (now current)")
    out.print(table)
    print_notes(result, options.false_reject_rate)
    for note in facts.notes:
        say("[yellow]{note}[/]", note=note)
    say("Next: [bold]pcedge export[/]")
