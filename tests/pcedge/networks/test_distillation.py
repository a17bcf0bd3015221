"""Distillation: the loss falls, an interruption changes nothing, and what goes wrong is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision import models

from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import DatasetError, OptionError, PcedgeError, WeightsError
from pcedge.networks.distillation import BatchSettings, DistillOptions, distill
from pcedge.networks.distillation.batches import Batches
from pcedge.networks.distillation.objective import Objective
from pcedge.networks.distillation.sources import Procedural, open_pictures
from pcedge.networks.distillation.teacher import Teacher
from pcedge.networks.distillation.training import Training
from pcedge.networks.embedder import build_embedder
from pcedge.networks.pcedge_s import CompactNet

Options = Callable[..., DistillOptions]


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture
def options(teacher_file: Path, tmp_path: Path) -> Options:
    def make(**changes: Any) -> DistillOptions:
        standard = DistillOptions(
            out=tmp_path / "out",
            weights=teacher_file,
            steps=4,
            precision="float32",
            worker=False,
            held_out=4,
            pictures_for_components=16,
            measure_every=2,
            save_every_s=0,
            batches=BatchSettings(size=64, distinct=3, twins=1, pool=4, fresh=1),
        )
        return replace(standard, **changes)

    return make


class Killed(BaseException):
    """A kill between two steps."""


def _kill_after(steps: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "distill" and done > steps:
            raise Killed

    return progress


def _distances(rows: torch.Tensor) -> torch.Tensor:
    return (rows[:, None] - rows).square().sum(dim=2)


def test_the_teacher_gives_distances_of_its_embedding(teacher_file: Path) -> None:
    teacher = Teacher("resnet18", (), teacher_file, size=64, dims=384).eval()
    images = torch.randn(3, 3, 64, 64)
    teacher.fit([torch.randn(4, 3, 64, 64)])
    embedder = build_embedder(teacher.backbone, Preprocessing(image_size=64), "mean")

    inner = [8 * row + column for row in range(1, 7) for column in range(1, 7)]

    with torch.inference_mode():
        rows = embedder(images)[:, inner].flatten(0, 1)
        found = teacher(images).flatten(2).transpose(1, 2)[:, inner].flatten(0, 1)

    # All components kept: a rotation. At the border the offset is pooled with zeros, as a student's would be.
    torch.testing.assert_close(_distances(found), _distances(rows), rtol=1e-3, atol=1e-3)
    assert bool((teacher.variance.diff() <= 1e-6).all())


def test_the_loss_falls_and_the_files_say_what_was_done(options: Options, tmp_path: Path) -> None:
    result = distill(options(steps=30, measure_every=5, learning_rate=2e-3))

    report = json.loads(result.report.read_text())
    losses = [measured["training_loss"] for measured in report["history"]]
    assert losses[-1] < losses[0]
    assert report["history"][-1]["step"] == 30
    assert report["settings"]["seed"] == 0
    with safe_open(result.weights, "pt") as file:
        described = json.loads(file.metadata()["description"])
    assert described["steps"] == 30
    assert described["settings"] == report["settings"]
    assert str(tmp_path) not in json.dumps(described)  # nobody's paths are shipped
    state = load_file(result.weights)
    CompactNet().load_state_dict({name: value.float() for name, value in state.items()})
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert result.weights.stat().st_size < 4_000_000
    assert result.as_written == pytest.approx(
        (result.last.unexplained, result.last.unexplained_whitened, result.last.twins_unexplained), abs=0.01
    )


def test_an_interruption_changes_nothing(options: Options) -> None:
    whole = distill(options())
    broken = options(out=whole.weights.parent.with_name("broken"))
    with pytest.raises(Killed):
        distill(broken, _kill_after(2))

    resumed = distill(replace(broken, resume=True))

    assert resumed.last.step == whole.last.step == 4
    expected = load_file(whole.weights)
    for name, value in load_file(resumed.weights).items():
        assert torch.equal(value, expected[name]), name


def test_a_finished_training_resumes_to_its_result(options: Options) -> None:
    first = distill(options())
    before = first.weights.read_bytes()

    again = distill(options(resume=True))

    assert again.weights.read_bytes() == before
    assert again.last == first.last


def test_a_training_with_a_time_limit_ends(options: Options) -> None:
    result = distill(options(steps=None, minutes=0.01))

    assert result.last.seconds >= 0.6
    assert result.last.step >= 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a readable checkpoint"), (b"PK\x03\x04 half of it", "not a readable checkpoint")],
)
def test_a_damaged_checkpoint_is_said_to_be_one(options: Options, content: bytes, message: str) -> None:
    chosen = options(resume=True)
    chosen.out.mkdir()
    chosen.checkpoint_file.write_bytes(content)

    with pytest.raises(WeightsError, match=message):
        distill(chosen)


def test_a_cut_checkpoint_is_said_to_be_damaged(options: Options) -> None:
    distill(options())
    path = options().checkpoint_file
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        distill(options(resume=True))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({}, OptionError, "holds a training already"),
        ({"resume": True, "seed": 1}, OptionError, "has seed 0, not 1"),
        ({"resume": True, "steps": 5}, OptionError, "has steps 4, not 5"),
        ({"resume": True, "out": Path("nowhere")}, WeightsError, "no training to resume"),
    ],
)
def test_trainings_are_not_mixed_up(
    options: Options, changes: dict[str, Any], error: type[PcedgeError], message: str
) -> None:
    distill(options())

    with pytest.raises(error, match=message):
        distill(options(**changes))


@pytest.mark.parametrize("length", [{"steps": None}, {"minutes": 1.0}])
def test_a_training_has_one_length(options: Options, length: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="needs a length"):
        options(**length)


def test_a_loss_that_is_no_number_ends_the_training(options: Options) -> None:
    training = Training(options())
    with torch.no_grad():
        training.student.detail.weight.fill_(float("nan"))
    training.options.out.mkdir()

    with pytest.raises(WeightsError, match="diverged"):
        training.run()


def test_twins_that_are_alike_leave_the_loss_a_number() -> None:
    variance, target = torch.ones(3), torch.randn(4, 3, 8, 8)
    target[-1] = target[0]
    student = target.clone().requires_grad_()

    loss = Objective(variance, twins=1).loss(student, target)
    loss.backward()  # type: ignore[no-untyped-call]

    assert student.grad is not None
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(student.grad).all())


def test_layers_of_another_stride_are_refused(options: Options) -> None:
    with pytest.raises(OptionError, match="stride 8"):
        distill(options(layers=("layer1", "layer2")))


def test_folders_give_cuts_and_keep_some_files_back(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path, train=60, test_good=0, per_defect=0, size=64)
    pictures = open_pictures([tmp_path], seed=0)

    assert pictures.description.startswith("60 images from ")
    batch = next(iter(Batches(pictures, BatchSettings(size=56, distinct=2, twins=1, pool=3, fresh=1))))
    assert batch.images.shape == (3, 56, 56, 3)
    assert batch.unreadable == ()
    assert isinstance(open_pictures([], seed=0), Procedural)


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_folders_without_images_are_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DatasetError):
        open_pictures([tmp_path / folder], seed=0)
