"""Fine-tuning on nominal images: what changes, what must not, what is kept, and what is said."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torchvision import models

from pcedge.bundles.finetune_record import FinetuneEpoch
from pcedge.camera import write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import DatasetError, OptionError
from pcedge.networks.backbones import Backbone, load_backbone, state_digest, used_state
from pcedge.networks.finetuning import separation
from pcedge.networks.finetuning.choosing import EpochChoice
from pcedge.networks.finetuning.drift import compare, effective_rank, linear_cka
from pcedge.networks.finetuning.finetune import Finetuned, finetune
from pcedge.networks.finetuning.options import FinetuneMethod, FinetuneOptions
from pcedge.networks.finetuning.separation import Separation
from pcedge.networks.finetuning.views import quarter_turns, varied, with_piece

SIZE = 64
METHODS: tuple[FinetuneMethod, ...] = ("rotation", "cutmix")
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def paths(good_images: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty images of good parts."""
    return sorted(good_images(tmp_path_factory.mktemp("parts") / "good", 20).iterdir())


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-18 with random weights, batch norms folded as in exported weights: they only add a bias."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


def _tune(
    backbone: Backbone, paths: list[Path], method: FinetuneMethod = "rotation", seed: int = 0, **options: Any
) -> tuple[Finetuned, dict[int, State]]:
    states: dict[int, State] = {}
    tuned = finetune(
        backbone,
        paths,
        Preprocessing(image_size=SIZE),
        "mean",
        FinetuneOptions(method, **{"patience": 9, **options}),
        seed=seed,
        device="cpu",
        on_epoch=lambda measured, state: states.update({measured.epoch: state}),
    )
    return tuned, states


@pytest.fixture
def each_epoch_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """A criterion by which each epoch is clearly better than the one before."""
    found = iter(range(100))

    def measure(self: separation.Criterion, runtime: Any) -> Separation:
        return Separation(np.full((4, 4), 0.5 + 0.01 * next(found)))

    monkeypatch.setattr(separation.Criterion, "measure", measure)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "options", "tuned_stages"),
    [
        ("pcedge-s", {}, ("stage3", "detail", "context")),
        ("resnet18", {}, ("layer3",)),
        ("resnet18", {"stages": ("layer2.1", "layer3.0.conv1")}, ("layer2.1", "layer3.0.conv1")),
    ],
)
def test_only_weights_of_late_stages_change(
    name: str,
    options: dict[str, Any],
    tuned_stages: tuple[str, ...],
    method: FinetuneMethod,
    paths: list[Path],
    resnet18: Path,
) -> None:
    backbone = load_backbone(name, (), resnet18 if name == "resnet18" else None)
    before = {key: value.clone() for key, value in used_state(backbone.module).items()}

    tuned, states = _tune(backbone, paths, method, epochs=1, learning_rate=1e-4, **options)

    changed = {key for key, value in states[1].items() if not torch.equal(value, before[key])}
    # Norms and biases have one dimension.
    expected = {
        key
        for key, value in before.items()
        if value.ndim == 4 and any(key.startswith(f"{stage}.") for stage in tuned_stages)
    }
    assert changed == expected
    assert changed
    assert tuned.record.stages == tuned_stages
    assert all(torch.equal(value, before[key]) for key, value in used_state(backbone.module).items())
    assert state_digest(states[0]) == backbone.weights_sha256


@pytest.mark.parametrize("method", METHODS)
def test_the_task_is_learned_while_the_features_stay_alike(method: FinetuneMethod, tmp_path: Path) -> None:
    paths = _write_discs(tmp_path / "discs", light=15)

    tuned, states = _tune(load_backbone("pcedge-s"), paths, method, epochs=4)

    history = tuned.record.history
    assert [one.epoch for one in history] == sorted(states) == [0, 1, 2, 3, 4]
    assert history[-1].held_out_loss < 0.9 * history[0].held_out_loss
    assert all(0.99 < one.cka < 1 for one in history[1:])
    assert history[0].cka == pytest.approx(1)
    assert history[0].gain == 0


def test_a_seed_gives_the_same_weights_again_and_another_seed_others(paths: list[Path]) -> None:
    runs = [_tune(load_backbone("pcedge-s"), paths, "cutmix", seed, epochs=1)[1] for seed in (5, 5, 6)]

    first, again, other = (state_digest(states[1]) for states in runs)
    assert first == again != other


def test_the_network_as_it_was_is_kept_when_no_epoch_is_better(paths: list[Path]) -> None:
    backbone = load_backbone("pcedge-s")

    tuned, states = _tune(backbone, paths, epochs=2, learning_rate=1e-12)

    assert tuned.record.kept == 0
    assert "the weights it began with are kept" in tuned.record.reason
    assert (tuned.backbone.weights, tuned.backbone.weights_sha256) == (
        backbone.weights,
        backbone.weights_sha256,
    )
    assert state_digest(used_state(tuned.backbone.module)) == backbone.weights_sha256
    assert state_digest(states[2]) != backbone.weights_sha256
    assert [change.cosine for change in tuned.record.features.values()] == [pytest.approx(1)]


@pytest.mark.usefixtures("each_epoch_better")
def test_the_best_epoch_is_kept_and_the_record_says_where_it_came_from(paths: list[Path]) -> None:
    backbone = load_backbone("pcedge-s")

    tuned, states = _tune(backbone, paths, "cutmix", seed=4, epochs=2)

    record = tuned.record
    assert record.kept == 2
    assert tuned.backbone.weights == f"{backbone.weights}, fine-tuned by cutmix"
    assert tuned.backbone.weights_sha256 == state_digest(states[2]) != backbone.weights_sha256
    assert (record.weights, record.weights_sha256) == (backbone.weights, backbone.weights_sha256)
    assert (record.method, record.seed, record.images, record.held_out) == ("cutmix", 4, 16, 4)
    [change] = record.features.values()
    assert change.cka < 1
    assert change.rank_before != change.rank_after
    assert not any(value.requires_grad for value in tuned.backbone.module.parameters())


def test_patience_and_minutes_end_it_early(paths: list[Path]) -> None:
    tired, _ = _tune(load_backbone("pcedge-s"), paths, epochs=9, learning_rate=1e-12, patience=1)
    late, _ = _tune(load_backbone("pcedge-s"), paths, epochs=9, minutes=1e-9)

    assert len(tired.record.history) == 2
    assert len(late.record.history) == 1
    assert "the time was over" in late.record.reason


def _write_discs(folder: Path, light: float) -> list[Path]:
    """Turned parts seen from above, lit from one side or evenly."""
    folder.mkdir()
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    rng = np.random.default_rng(0)
    for number in range(20):
        rings = 128 + 60 * np.cos(12 * np.hypot(x, y)) + light * x + 10 * rng.standard_normal(x.shape)
        write_image(
            folder / f"{number}.png", np.repeat(np.clip(rings, 0, 255).astype(np.uint8)[..., None], 3, 2)
        )
    return sorted(folder.iterdir())


@pytest.mark.parametrize(("light", "word"), [(0.0, "cannot be learned"), (90.0, "trivial")])
def test_turns_that_cannot_be_told_or_tell_themselves_are_noticed(
    light: float, word: str, tmp_path: Path
) -> None:
    tuned, _ = _tune(load_backbone("pcedge-s"), _write_discs(tmp_path / "discs", light), epochs=1)

    [note] = tuned.record.notes
    assert word in note


def test_what_cannot_be_tuned_is_refused(paths: list[Path], tmp_path: Path) -> None:
    backbone = load_backbone("pcedge-s")
    (tmp_path / "broken.png").write_bytes(b"no picture")

    with pytest.raises(DatasetError, match=r"15 of the 16 good images.*at least 16"):
        _tune(backbone, [*paths[:15], tmp_path / "broken.png"])
    with pytest.raises(OptionError, match="no weights to tune in 'layer3'"):
        _tune(backbone, paths, stages=("layer3",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "jigsaw"}, "no fine-tuning by 'jigsaw'"),
        ({"epochs": 0}, "0 epochs"),
        ({"patience": 0}, "patience of 0"),
        ({"learning_rate": float("nan")}, "learning rate of nan"),
        ({"learning_rate": float("inf")}, "learning rate of inf"),
        ({"learning_rate": 0.0}, "learning rate of 0"),
        ({"minutes": 0.0}, "0.0 minutes"),
        ({"minutes": float("nan")}, "nan minutes"),
        ({"pull": -1.0}, "pull of -1"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        FinetuneOptions(**{"method": "rotation", **options})


def _epoch(epoch: int, gain: float = 0.0, error: float = 0.01, **changes: float) -> FinetuneEpoch:
    values = {"loss": 1.0, "held_out_loss": 1.0, "accuracy": 0.7, "cka": 0.99, **changes}
    return FinetuneEpoch(epoch=epoch, separation=0.8 + gain, gain=gain, gain_error=error, **values)


@pytest.mark.parametrize(
    ("epochs", "kept", "seen", "words"),
    [
        ([_epoch(1, 0.05), _epoch(2, 0.06), _epoch(3, 0.04)], 2, 3, "epoch 2 is kept"),
        (
            [_epoch(1, 0.015), _epoch(2, 0.012)],
            0,
            2,
            "+0.0150 AUROC (standard error 0.0100) at best, which is",
        ),
        ([_epoch(1, -0.03), _epoch(2, -0.02), _epoch(3, 0.5)], 0, 2, "not clearly better"),
        ([_epoch(1, 0.05), _epoch(2, 0.04), _epoch(3, 0.03), _epoch(4, 0.9)], 1, 3, "epoch 1 is kept"),
        ([_epoch(1, 0.05, cka=0.5), _epoch(2, 0.06)], 0, 1, "features that drifted away"),
        ([_epoch(1, 0.05, accuracy=0.3)], 0, 1, "a task that was guessed"),
        ([], 0, 0, "the time was over"),
    ],
    ids=["best", "chance", "patience", "falls", "drift", "guessed", "no time"],
)
def test_the_choice(epochs: list[FinetuneEpoch], kept: int, seen: int, words: str) -> None:
    choice = EpochChoice("rotation", chance=0.25, answers=64, patience=2)
    choice.see(_epoch(0, error=0))

    for epoch in epochs:
        if not choice.see(epoch):
            break

    assert (choice.kept, len(choice.history) - 1) == (kept, seen)
    assert words in choice.reason


def test_the_separation_is_the_auroc_of_all_pairs_and_its_error_that_of_paired_pictures() -> None:
    rng = np.random.default_rng(1)
    one = Separation(rng.random((12, 12)))
    other = Separation(np.clip(one.wins + rng.normal(0.1, 0.05, (12, 12)), 0, 1))

    gain, error = other.gain_over(one)

    assert one.gain_over(one) == (0, 0)
    assert gain == pytest.approx(other.auroc - one.auroc)
    # The bootstrap over images, which the formula stands for.
    draws = rng.integers(0, 12, (4000, 12))
    gains = other.wins - one.wins
    assert error == pytest.approx(np.std([gains[np.ix_(d, d)].mean() for d in draws]), rel=0.25)


def test_features_are_compared() -> None:
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((4000, 6))
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    flat = rows * np.array([1, 1, 1, 0, 0, 0])

    assert linear_cka(rows, 3 * rows @ turn + 7) == pytest.approx(1)
    assert linear_cka(rows, rng.standard_normal((4000, 6))) < 0.01
    assert linear_cka(rows, np.zeros_like(rows)) == 0
    assert effective_rank(rows) == pytest.approx(6, rel=1e-2)
    assert effective_rank(flat) == pytest.approx(3, rel=1e-2)
    assert effective_rank(np.zeros((5, 2))) == 1
    assert compare(rows, -rows).cosine == pytest.approx(-1)


def _picture(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (SIZE, SIZE)), np.uint8)


def test_a_piece_changes_the_picture_just_where_it_is_said_to_be() -> None:
    picture, other = _picture(1), _picture(2)
    for seed in range(20):
        rng = np.random.default_rng(seed)

        changed, place = with_piece(rng, picture, other)

        different = (changed != picture).any(axis=2)
        assert not different[place == 0].any()
        assert different[place == 1].mean() > 0.9
        assert 0.005 < place.mean() < 0.2


def test_views_leave_everything_in_its_place_and_turns_do_not() -> None:
    picture = _picture(3)
    turns = quarter_turns(picture)

    lit = varied(np.random.default_rng(0), picture)

    assert np.corrcoef(lit.ravel(), picture.ravel())[0, 1] > 0.95
    assert (lit != picture).any()
    assert all(np.array_equal(np.rot90(turn, -number), picture) for number, turn in enumerate(turns))


def test_the_backbone_given_may_lie_behind_another_layer_name(paths: list[Path], resnet18: Path) -> None:
    backbone = replace(load_backbone("resnet18", ("layer2",), resnet18))

    tuned, _ = _tune(backbone, paths, epochs=1)

    assert tuned.record.stages == ("layer2",)
    assert set(tuned.record.features) == {"layer2"}


def test_a_transformer_s_last_block_is_tuned(paths: list[Path], tmp_path: Path) -> None:
    network = timm.create_model("vit_small_patch14_dinov2", pretrained=False)
    save_file(network.state_dict(), tmp_path / "dinov2.safetensors")
    backbone = load_backbone("dinov2-s", ("blocks.0", "blocks.1"), tmp_path / "dinov2.safetensors", size=56)
    before = {key: value.clone() for key, value in used_state(backbone.module).items()}
    states: dict[int, State] = {}

    finetune(
        backbone,
        paths,
        Preprocessing(image_size=56),
        "mean",
        FinetuneOptions("cutmix", epochs=1),
        device="cpu",
        on_epoch=lambda measured, state: states.update({measured.epoch: state}),
    )

    changed = {key for key, value in states[1].items() if not torch.equal(value, before[key])}
    assert changed == {f"blocks.1.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
