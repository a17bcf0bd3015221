"""``pcedge plan``, as on a device and as on a workstation."""

import json
from collections.abc import Callable
from pathlib import Path

from ..conftest import Line, Run


def test_on_a_device_a_bundle_gets_the_best_bank_and_precision(
    pcedge: Run, exported_line: Line, tmp_path: Path
) -> None:
    options = ("--models", exported_line.models, "--images", exported_line.dataset, "--json")
    choices = ("--coreset", "1%,20%", "--max-ms", "10000")

    done = pcedge("plan", "--model", "line", *choices, *options, cwd=tmp_path, torch=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["points"]) == 2
    assert told["measured_on"] == "labelled pictures"
    assert told["chosen"] in [
        {k: v for k, v in point.items() if k not in ("megabytes", "pareto")} for point in told["points"]
    ]
    assert told["commands"][0].startswith(f"pcedge fit {exported_line.dataset} --like ")


def test_a_budget_that_nothing_meets_ends_with_four_and_names_what_comes_nearest(
    pcedge: Run, exported_line: Line, tmp_path: Path, assert_clear: Callable[..., None]
) -> None:
    options = ("--models", exported_line.models, "--images", exported_line.dataset, "--max-mb", "0.01")

    done = pcedge("plan", *options, cwd=tmp_path)

    assert_clear(done, "Nothing fits the budget", "Nearest: pcedge-s", code=4)
    assert_clear(pcedge("plan", "line", *options[:2], cwd=tmp_path), "--images DATASET")
    assert_clear(pcedge("plan", "nowhere", cwd=tmp_path), "nowhere")
    assert_clear(pcedge("plan", "line", *options, "--backbone", "resnet18", cwd=tmp_path), "network is kept")
