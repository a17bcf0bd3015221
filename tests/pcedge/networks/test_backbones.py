import copy
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from pcedge.bundles.manifest import BackboneInfo, Manifest
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, OptionError, WeightsError
from pcedge.networks.backbone_kinds.cut_off import cut_off
from pcedge.networks.backbone_kinds.kind import BackboneKind
from pcedge.networks.backbones import (
    BACKBONES,
    Backbone,
    load_backbone,
    preprocessing_for,
    restore_backbone,
    state_digest,
    used_state,
)
from pcedge.networks.embedder import build_embedder, default_embedding, restore_embedder, save_backbone
from pcedge.networks.pcedge_s import CompactNet

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def resnet18() -> torch.nn.Module:
    torch.manual_seed(3)
    network: torch.nn.Module = models.resnet18(weights=None).eval()
    for key, buffer in network.named_buffers():
        if key.endswith("running_mean"):
            buffer.normal_()
    return network


@pytest.fixture
def state(resnet18: torch.nn.Module) -> State:
    return dict(resnet18.state_dict())


def _saved(directory: Path, content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, directory / name)
    return directory / name


def _without(state: State, *prefixes: str) -> State:
    return {key: value for key, value in state.items() if not key.startswith(prefixes)}


def test_the_features_are_those_of_the_whole_network(
    tmp_path: Path, resnet18: torch.nn.Module, state: State
) -> None:
    backbone = load_backbone("resnet18", (), _saved(tmp_path, state))
    images = torch.randn(2, 3, 64, 64)
    stages = dict(resnet18.named_children())
    features, expected = images, []
    with torch.inference_mode():
        for name in "conv1 bn1 relu maxpool layer1 layer2 layer3".split():  # noqa: SIM905
            features = stages[name](features)
            expected.append(features)
        found = backbone.module(images)

    assert (backbone.name, backbone.layers) == ("resnet18", ("layer2", "layer3"))
    assert backbone.weights == "weights.pth"
    for one, other in zip(found, expected[-2:], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("name", "layers", "channels"),
    [
        ("resnet18", ("layer1", "layer3"), [64, 256]),
        ("resnet18", ("layer2.0.conv1",), [128]),
        ("resnet18", (), [128, 256]),
        ("squeezenet1_0", ("features.5", "features.10"), [256, 512]),
        ("efficientnet_b0", ("features.3", "features.5"), [40, 112]),
    ],
)
def test_layers_of_many_networks_can_be_chosen(
    tmp_path: Path, name: str, layers: tuple[str, ...], channels: list[int]
) -> None:
    network = models.get_model(name, weights=None)

    backbone = load_backbone(name, layers, _saved(tmp_path, network.state_dict()))

    features = backbone.module(torch.zeros(1, 3, 96, 96))
    assert [feature.shape[1] for feature in features] == channels
    assert not any(parameter.requires_grad for parameter in backbone.module.parameters())
    assert not backbone.module.training


@pytest.mark.parametrize(
    ("name", "layers", "words"),
    [
        ("resnet19", (), "no backbone 'resnet19'"),
        ("", (), "no backbone ''"),
        ("ResNet18", (), "no backbone 'ResNet18'"),
        ("fasterrcnn_resnet50_fpn", (), "no backbone"),
        ("resnet18", ("layer5",), r"(?s)no layer 'layer5'.*layer1, .*layer2, "),
        ("resnet18", ("layer2", ""), "no layer ''"),
        ("resnet18", ("layer2", "layer2"), "named twice"),
        ("squeezenet1_1", (), r"(?s)Which layers of squeezenet1_1.*--layers features\.7"),
        ("googlenet", ("aux1",), "aux1"),
        ("pcedge-s", ("layer4",), r"(?s)no layer 'layer4'.*descriptors.*stage3"),
    ],
)
def test_unknown_networks_and_layers_are_errors_that_say_what_there_is(
    name: str, layers: tuple[str, ...], words: str
) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        load_backbone(name, layers, Path("not-read.pth"))

    assert caught.value.hint


def test_the_compact_network_comes_with_its_weights() -> None:
    backbone = load_backbone("pcedge-s")

    (descriptors,) = backbone.module(torch.zeros(1, 3, 224, 224))
    assert (backbone.name, backbone.layers) == ("pcedge-s", ("descriptors",))
    assert backbone.weights == f"shipped with pcedge {version('pcedge')}"
    assert descriptors.shape == (1, 128, 28, 28)
    assert {value.dtype for value in used_state(backbone.module).values()} == {torch.float32}
    assert default_embedding("pcedge-s") == "mean"
    assert default_embedding("resnet18") == "reference"


def test_the_compact_network_takes_weights_of_one_s_own(tmp_path: Path) -> None:
    torch.manual_seed(2)
    half = {name: value.half() for name, value in CompactNet().state_dict().items()}
    save_file(half, tmp_path / "own.safetensors")

    own, shipped = load_backbone("pcedge-s", (), tmp_path / "own.safetensors"), load_backbone("pcedge-s")

    assert own.weights == "own.safetensors"
    assert own.weights_sha256 != shipped.weights_sha256
    for name, value in used_state(own.module).items():
        assert torch.equal(value, half[name].float()), name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    state = {**CompactNet().state_dict(), "detail.bias": torch.full((128,), value)}

    with pytest.raises(WeightsError, match=r"not finite detail\.bias"):
        load_backbone("pcedge-s", (), _saved(tmp_path, state))


def _no_head(state: State) -> State:
    return _without(state, "fc.")


def _another_head(state: State) -> State:
    return {**state, "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}


def _nothing_behind_layer3(state: State) -> State:
    return _without(state, "fc.", "layer4.")


def _old_format(state: State) -> State:
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def _whole(state: State) -> State:
    return state


@pytest.mark.parametrize("change", [_whole, _no_head, _another_head, _nothing_behind_layer3, _old_format])
def test_only_what_lies_behind_the_last_layer_may_be_missing_or_different(
    tmp_path: Path, state: State, change: Callable[[State], State]
) -> None:
    backbone = load_backbone("resnet18", (), _saved(tmp_path, change(state)))

    loaded = used_state(backbone.module)
    assert "layer3.1.bn2.weight" in loaded
    assert not any(key.startswith(("layer4", "fc")) for key in loaded)
    for key, value in loaded.items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def _missing_key(state: State) -> object:
    return _without(state, "layer3.1.conv2.weight")


def _wrong_shape(state: State) -> object:
    return {**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}


def _unknown_key(state: State) -> object:
    return {**state, "layer2.0.se.weight": torch.zeros(1)}


def _prefixed(state: State) -> object:
    return {f"module.{key}": value for key, value in state.items()}


def _another_network(state: State) -> object:
    return models.resnet34(weights=None).state_dict()


def _wider_network(state: State) -> object:
    return {key: value.repeat_interleave(2, dim=0) if value.ndim else value for key, value in state.items()}


def _nothing(state: State) -> object:
    return {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_missing_key, r"missing layer3\.1\.conv2\.weight\."),
        (_wrong_shape, r"wrong shape conv1\.weight\."),
        (_unknown_key, r"unknown layer2\.0\.se\.weight\."),
        (_prefixed, "missing .* and .* more; unknown module.bn1"),
        (_another_network, "unknown layer1.2.bn1"),
        (_wider_network, "wrong shape bn1.bias"),
        (_nothing, "missing bn1.bias"),
    ],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, state: State, change: Callable[[State], object], words: str
) -> None:
    path = _saved(tmp_path, change(state))

    with pytest.raises(WeightsError, match=rf"weights\.pth are not those of resnet18: .*{words}") as caught:
        load_backbone("resnet18", (), path)

    assert "--backbone" in caught.value.hint


def test_the_digest_is_that_of_the_used_tensors_and_not_of_the_file(tmp_path: Path, state: State) -> None:
    backwards = dict(reversed(list(state.items())))
    save_file(state, tmp_path / "weights.safetensors")
    paths = [
        _saved(tmp_path, state, "a.pth"),
        _saved(tmp_path, backwards, "b.pt"),
        _saved(tmp_path, _nothing_behind_layer3(state), "c.pth"),
        tmp_path / "weights.safetensors",
    ]
    changed = {**state, "layer3.1.bn2.bias": state["layer3.1.bn2.bias"] + 1e-3}

    digests = {load_backbone("resnet18", (), path).weights_sha256 for path in paths}
    other = load_backbone("resnet18", (), _saved(tmp_path, changed, "d.pth")).weights_sha256

    assert len(digests) == 1
    assert other not in digests


def test_the_digest_tells_which_tensor_holds_what() -> None:
    one, other = torch.ones(2), torch.zeros(2)

    assert state_digest({"a": one, "b": other}) == state_digest({"b": other, "a": one})
    assert state_digest({"a": one, "b": other}) != state_digest({"a": other, "b": one})


def test_loading_leaves_the_random_numbers_of_the_caller_alone(tmp_path: Path, state: State) -> None:
    path = _saved(tmp_path, state)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)

    load_backbone("resnet18", (), path)

    assert torch.equal(torch.rand(3), expected)


def _stored(backbone: Backbone, directory: Path, manifest: Manifest) -> tuple[Manifest, Path]:
    save_backbone(backbone, directory / "backbone.safetensors")
    info = BackboneInfo(
        name=backbone.name,
        layers=backbone.layers,
        weights=backbone.weights,
        weights_sha256=backbone.weights_sha256,
    )
    return msgspec.structs.replace(manifest, backbone=info), directory / "backbone.safetensors"


@pytest.mark.parametrize("name", ["resnet18", "pcedge-s"])
def test_an_embedder_restored_from_its_file_is_the_one_that_was_stored(
    tmp_path: Path, state: State, manifest: Manifest, name: str
) -> None:
    weights = _saved(tmp_path, state) if name == "resnet18" else None
    backbone = load_backbone(name, (), weights)
    images = torch.randn(1, 3, 32, 32)
    expected = build_embedder(backbone.module, Preprocessing(image_size=32), "mean")(images)

    restored = restore_embedder(*_stored(backbone, tmp_path, manifest))

    assert torch.equal(restored(images), expected)


def test_stored_weights_that_the_manifest_does_not_name_are_refused(
    tmp_path: Path, manifest: Manifest
) -> None:
    backbone = load_backbone("pcedge-s")
    _, path = _stored(backbone, tmp_path, manifest)

    with pytest.raises(BundleError, match="does not hold the weights"):
        restore_embedder(manifest, path)


def test_a_restored_backbone_needs_every_tensor(state: State) -> None:
    wanted = used_state(restore_backbone("resnet18", (), _used(state)))
    del wanted["conv1.weight"]

    with pytest.raises(RuntimeError, match=r"conv1\.weight"):
        restore_backbone("resnet18", (), wanted)


def _used(state: State) -> State:
    return _without(state, "layer4.", "fc.")


def test_a_kind_of_backbone_is_one_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    full = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 5, 1))
    toy = BackboneKind(
        "toy",
        lambda name: name == "toy",
        lambda name, layers, _size: cut_off(copy.deepcopy(full), name, tuple(layers) or ("0",)),
        lambda _name, _progress: (full.state_dict(), "the toy box"),
        prepare=lambda _name, asked: replace(asked, mean=(0.1, 0.2, 0.3)),
    )
    with pytest.raises(OptionError, match="no backbone 'toy'"):
        load_backbone("toy")

    monkeypatch.setattr("pcedge.networks.backbones.BACKBONES", (*BACKBONES, toy))

    found = load_backbone("toy")
    assert (found.name, found.layers, found.weights) == ("toy", ("0",), "the toy box")
    assert preprocessing_for("toy", Preprocessing()).mean == (0.1, 0.2, 0.3)
    assert preprocessing_for("resnet18", Preprocessing()) == Preprocessing()
    restored = restore_backbone("toy", ("0",), used_state(found.module))
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(restored(images)[0], full[0](images))
    with pytest.raises(OptionError, match="toy has no layer '7'"):
        load_backbone("toy", ("7",))
