"""No option is ignored in silence: one that has no effect where it is given is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from pcedge.cli import app

from ..conftest import Line

_WITHOUT = "no effect without"


def _run(*arguments: str | Path, models: Path | None = None) -> Any:
    place = {} if models is None else {"PCEDGE_MODELS": str(models)}
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200", **place})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fit x --like other --backbone resnet18", "--backbone has no effect beside --like"),
        ("fit x --like other --preset whole --crop 0", "--preset, --crop have no effect beside --like"),
        ("fit x --finetune-epochs 2", f"--finetune-epochs has {_WITHOUT} --finetune"),
        ("fit x --finetune-lr 0.1 --finetune-minutes 2", f"have {_WITHOUT} --finetune"),
        ("fit x --calibration leave-one-out --neighbours 3", "without re-weighting, and --neighbours 3"),
        ("fit x --set dims=3", "--set has no effect on patchcore"),
        ("fit x --method padim --coreset 1%", "--coreset has no effect with --method padim"),
        ("fit x --method padim --neighbours 1", "--neighbours has no effect with --method padim"),
        ("fit x --method spade --pictures-mb 1", "--pictures-mb has no effect with --method spade"),
        ("fit x --method spade --calibration folds", "--calibration has no effect with --method spade"),
        ("fit x --method padim --groups folder", "--groups has no effect with --method padim"),
        ("fit x --method padim --embedding mean", "--embedding has no effect with --method padim"),
        ("fit x --method padim --like other", "--like has no effect with --method padim"),
        ("fit x --method gan --finetune rotation", "--finetune has no effect with --method gan"),
        ("fit x --method ae --backbone resnet18", "--backbone has no effect with --method ae"),
        ("fit x --method gan --weights w.pth", "--weights has no effect with --method gan"),
        ("fit x --method ae --layers a --cache-gb 1", "--layers, --cache-gb have no effect with --method ae"),
        ("export --batch 4", f"--batch has {_WITHOUT} --trt, --trt-rtx or --triton"),
        ("export --compute 8.6", f"--compute has {_WITHOUT} --trt-rtx"),
        ("export --trt-rtx", "pcedge export --trt-rtx --compute 8.6,8.9"),
        ("export --trt --images x", f"--images has {_WITHOUT} another precision"),
        ("evaluate x --runtime onnx --runtimes onnx", "--runtime has no effect beside --runtimes"),
        ("suite x --beside a.csv --json", "--beside has no effect on what --json prints"),
        ("bench --min-auroc 0.9", f"--min-auroc has {_WITHOUT} labelled images"),
        ("index --max-images 3", f"--max-images has {_WITHOUT} --images"),
        ("index --runtime onnx --device cpu", f"--runtime, --device have {_WITHOUT} --images"),
        ("teach --history --by ada", "--by has no effect with --history"),
        ("teach --history --wait 1", "--wait has no effect with --history"),
        ("teach --rollback 0 --force", "--force has no effect with --rollback"),
        ("teach --defect a.png --max-growth 0.2", "--max-growth has no effect with --defect"),
        ("plan --backbone resnet18", "--backbone has no effect on a bundle"),
        ("plan --image-size 224 --layout plain", "--image-size, --layout have no effect on a bundle"),
        ("compare x --methods padim --coreset 1%", "--coreset has no effect on any of the methods"),
        ("compare x --methods ae --backbone resnet18", "--backbone has no effect on any of the methods"),
        ("compare x --methods gan --cache-gb 1", "--cache-gb has no effect on any of the methods"),
        ("datasets --layout plain", f"--layout has {_WITHOUT} a folder"),
        ("report x --output r.html --paper a4", "--paper has no effect on a page in HTML"),
        ("watch --config l.toml --save flagged", "--save has no effect beside --config"),
        ("watch --config l.toml --no-drift", "--no-drift has no effect beside --config"),
        ("watch --config l.toml --model m --review", "--model, --review have no effect beside --config"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    done = _run(*line.split())

    assert done.exit_code == 1, done.output
    assert words in done.stderr.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("index", "int8", "--candidates", "8"), "--candidates has no effect on exact search"),
        (("watch", "--camera", "synthetic:?frames=1", "--once"), "--once has no effect without a folder"),
        (("watch", "--camera", "synthetic:?frames=1", "--again"), "--again has no effect without a folder"),
    ],
)
def test_what_only_the_bundle_or_the_cameras_can_tell_is_refused_too(
    exported_line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    done = _run(*arguments, models=exported_line.models)

    assert done.exit_code == 1, done.output
    assert words in done.stderr.replace("\n", " ")


def test_files_do_not_freeze(exported_line: Line, tmp_path: Path) -> None:
    folder = exported_line.dataset / "test" / "good"
    options = ("--once", "--frozen-after", "3", "--output", tmp_path)

    done = _run("watch", "--folder", folder, *options, models=exported_line.models)

    assert done.exit_code == 1, done.output
    assert "--frozen-after has no effect without a live camera" in done.stderr


@pytest.mark.parametrize("command", ["compare", "sweep", "plan"])
def test_weights_of_a_network_that_is_not_used_are_refused(tmp_path: Path, command: str) -> None:
    file = tmp_path / "w.pth"
    file.touch()

    done = _run(command, tmp_path, "--backbone", "pcedge-s", "--weights", f"resnet18={file}")

    assert done.exit_code == 1, done.output
    assert "resnet18 is not among the backbones" in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("evaluate x --jobs 2", "No such option: --jobs. It belongs to: pcedge suite."),
        ("evaluate x --markdown p.md", "--markdown. It belongs to: pcedge suite, compare."),
        ("evaluate x --all --threshold 3", "--threshold. It belongs to: pcedge evaluate, explain, watch."),
        ("suite x --precision int8", "No such option: --precision. It belongs to: pcedge"),
        ("watch --nonsense", "No such option: --nonsense"),
    ],
)
def test_an_option_of_another_command_is_refused_and_its_command_named(line: str, words: str) -> None:
    done = _run(*line.split())

    assert done.exit_code == 2, done.output
    assert words in done.stderr.replace("\n", " ")


def test_nobody_has_an_option_that_nobody_has() -> None:
    assert "belongs" not in _run("watch", "--nonsense").stderr


def test_a_default_that_was_not_typed_is_not_refused(tmp_path: Path) -> None:
    done = _run("fit", tmp_path / "nowhere", "--method", "padim")

    assert "nowhere" in done.stderr
    assert "no effect" not in done.stderr


def test_every_rule_names_options_that_there_are() -> None:
    from pcedge.cli.commands.bundle import export, index, teach
    from pcedge.cli.commands.evaluation import evaluate, suite
    from pcedge.cli.commands.line import watch
    from pcedge.cli.options.fit_rules import FIT_UNUSED

    group: Any = typer.main.get_command(app)
    rules = {
        "fit": FIT_UNUSED,
        **{module.__name__.rpartition(".")[2]: module._UNUSED for module in (export, index, teach)},
        **{module.__name__.rpartition(".")[2]: module._UNUSED for module in (evaluate, suite, watch)},
    }
    for name, found in rules.items():
        known = {one.name for one in group.commands[name].params}
        assert {option for rule in found for option in rule.options} <= known, name
