"""``pcedge bench`` as a script uses it: JSON, and limits that make it fail."""

import json

from ..conftest import Line, Run


def test_bench_holds_a_line(pcedge: Run, exported_line: Line) -> None:
    arguments = ("bench", "--models", exported_line.models, "--frames", "20", "--device", "cpu", "--json")

    done = pcedge(
        *arguments, exported_line.dataset, "--runtime", "onnx", "--min-auroc", "0.2", "--max-ms", "60000"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["runtime"] for one in found["measured"]] == ["onnx"]
    assert 0.2 <= found["measured"][0]["image_auroc"] <= 1.0

    done = pcedge(*arguments, "--runtime", "onnx", "--max-ms", "0.01")
    assert done.returncode == 4, done.stderr
    assert "No runtime keeps to 0.01 ms" in done.stderr
    assert json.loads(done.stdout)["measured"][0]["image_auroc"] is None


def test_a_limit_on_accuracy_needs_labelled_images(pcedge: Run, exported_line: Line) -> None:
    done = pcedge("bench", "--models", exported_line.models, "--min-auroc", "0.9")
    assert done.returncode == 1
    assert "--min-auroc has no effect without labelled images" in done.stderr
