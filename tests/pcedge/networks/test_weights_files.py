"""Weights files that are missing, damaged, of another kind, or hostile: from the user and in the cache."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from pcedge.errors import WeightsError, WeightsUnavailableError
from pcedge.networks.backbones import load_backbone, load_default_backbone, read_state, used_state

HUB_FILE = "resnet18-f37072fd.pth"


class _Intruder:
    """Runs code when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def _write_intruder_by_torch(path: Path, mark: Path) -> None:
    torch.save({"conv1.weight": _Intruder(mark)}, path)


def _write_old_intruder_by_torch(path: Path, mark: Path) -> None:
    torch.save({"conv1.weight": _Intruder(mark)}, path, _use_new_zipfile_serialization=False)


def _write_intruder_by_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(_Intruder(mark)))


def _write_whole_model(path: Path, mark: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


def _write_garbage(path: Path, mark: Path) -> None:
    path.write_bytes(b"\x93garbage" * 500)


def _write_nothing(path: Path, mark: Path) -> None:
    path.write_bytes(b"")


def _write_truncated(path: Path, mark: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    path.write_bytes(path.read_bytes()[:-2000])


WRITERS = [
    _write_intruder_by_torch,
    _write_old_intruder_by_torch,
    _write_intruder_by_pickle,
    _write_whole_model,
    _write_garbage,
    _write_nothing,
    _write_truncated,
]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_is_no_state_dict_is_refused_and_its_code_never_runs(
    tmp_path: Path, write: Callable[[Path, Path], None], suffix: str
) -> None:
    path, mark = tmp_path / f"weights{suffix}", tmp_path / "code-was-run"
    write(path, mark)

    with pytest.raises(WeightsError) as caught:
        read_state(path)

    assert str(path) in caught.value.what
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        torch.zeros(2),
        {"state_dict": {"a": torch.zeros(2)}},
        {"epoch": 3, "a": torch.zeros(2)},
        {0: torch.zeros(2)},
        {0: torch.zeros(2), "a": torch.zeros(2)},
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")

    with pytest.raises(WeightsError, match="not a state dict of tensors"):
        read_state(tmp_path / "weights.pth")


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.pth", tmp_path):
        with pytest.raises(WeightsError, match=f"no weights file {path}"):
            load_backbone("resnet18", (), path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision's cache, empty, on a machine without a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    return cache


def test_without_pretrained_weights_and_network_the_error_says_where_to_put_them(hub: Path) -> None:
    with pytest.raises(WeightsError, match="could not be downloaded") as caught:
        load_backbone("resnet18")

    assert f"https://download.pytorch.org/models/{HUB_FILE}" in caught.value.hint
    assert str(hub / HUB_FILE) in caught.value.hint
    assert "--weights FILE" in caught.value.hint


def test_without_a_name_and_without_pretrained_weights_the_shipped_network_is_used(hub: Path) -> None:
    backbone, missing = load_default_backbone()

    assert backbone.name == "pcedge-s"
    assert missing is not None
    assert "wide_resnet50_2 are not on this machine" in missing.what
    assert str(hub) in missing.hint


@pytest.mark.parametrize("write", [_write_garbage, _write_truncated, _write_intruder_by_torch])
def test_damaged_pretrained_weights_are_no_reason_for_another_network(
    hub: Path, tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    write(hub / "wide_resnet50_2-95faca4d.pth", tmp_path / "code-was-run")

    with pytest.raises(WeightsError, match="wide_resnet50_2-95faca4d"):
        load_default_backbone()


@pytest.mark.usefixtures("hub")
def test_layers_or_a_file_stand_for_the_larger_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailableError):
        load_default_backbone(("layer2",))
    with pytest.raises(WeightsError, match="no weights file"):
        load_default_backbone((), tmp_path / "no.pth")


def test_cached_pretrained_weights_are_used(hub: Path) -> None:
    state = models.resnet18(weights=None).state_dict()
    torch.save(state, hub / HUB_FILE)

    backbone = load_backbone("resnet18")

    assert backbone.weights == "torchvision IMAGENET1K_V1"
    torch.testing.assert_close(used_state(backbone.module)["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize("write", WRITERS)
def test_a_damaged_or_hostile_file_in_the_cache_is_refused_too(
    hub: Path, tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    write(hub / HUB_FILE, tmp_path / "code-was-run")

    with pytest.raises(WeightsError, match=HUB_FILE):
        load_backbone("resnet18")

    assert not (tmp_path / "code-was-run").exists()
