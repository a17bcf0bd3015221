"""CLIP and DINOv2 as backbones: untrained networks of the real architectures, at the smallest sizes.

CLIP's smallest transformer has 88 million weights; ``clip-vit-tiny`` is the same one, but narrow.
"""

import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from pcedge.core.preprocessing import IMAGENET_MEAN, Preprocessing
from pcedge.deployment.exporting.export_bundle import export_bundle
from pcedge.errors import ExportError, MissingExtraError, OptionError, WeightsError, WeightsUnavailableError
from pcedge.export import OnnxRuntime, check_operators, fixed_shapes, write_fp16, write_int8, write_onnx
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.networks.backbones import Backbone, load_backbone, preprocessing_for, used_state
from pcedge.networks.distillation.teacher import Teacher
from pcedge.networks.embedder import build_embedder
from pcedge.networks.encoders import ENCODERS, Encoder
from pcedge.networks.encoders.hub_weights import encoder_file
from pcedge.networks.encoders.tokens import resized_positions

SHIPPED = tuple(ENCODERS)
TINY = "clip-vit-tiny"
State = dict[str, Tensor]
Maps = list[Tensor]


@dataclass(frozen=True)
class Known:
    """A whole network as its own library builds it, and its weights as they are published."""

    encoder: Encoder
    size: int
    network: nn.Module
    weights: Path
    maps: Callable[[Tensor], Maps]

    def load(self, state: State | None = None, size: int | None = None) -> Backbone:
        path = self.weights
        if state is not None:
            path = self.weights.with_name("changed.safetensors")
            save_file({name: value.contiguous() for name, value in state.items()}, path)
        return load_backbone(self.encoder.name, (), path, size=size or self.size)


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """Let open_clip and the catalogue know CLIP's narrow transformer."""
    config = open_clip.get_model_config("ViT-B-16-quickgelu")
    config["vision_cfg"]["width"] = 128
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", config)
        patch.setitem(
            ENCODERS, TINY, replace(ENCODERS["clip-vit-b-16"], name=TINY, architecture="tiny-quickgelu")
        )
        yield


def _clip(name: str, size: int) -> tuple[nn.Module, State, Callable[[Tensor], Maps]]:
    config = open_clip.get_model_config(ENCODERS[name].architecture)
    # Its text side is as small as can be: the image side is what counts.
    text = {"context_length": 4, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
    vision = {**config["vision_cfg"], "image_size": size}
    model = open_clip.CLIP(config["embed_dim"], vision, text, quick_gelu=config.get("quick_gelu", False))
    taps = [2, 3] if vision["patch_size"] is None else [5, 8]  # of a ResNet the stem is the first

    def maps(images: Tensor) -> Maps:
        found = model.visual.eval().forward_intermediates(
            images, indices=taps, normalize_intermediates=True, intermediates_only=True
        )
        return list(found["image_intermediates"])

    return model.visual, model.state_dict(), maps


def _dinov2(name: str, size: int) -> tuple[nn.Module, State, Callable[[Tensor], Maps]]:
    model: Any = timm.create_model(ENCODERS[name].architecture, img_size=size)

    def maps(images: Tensor) -> Maps:
        return list(
            model.eval().forward_intermediates(images, indices=[5, 8], norm=True, intermediates_only=True)
        )

    return model, model.state_dict(), maps


@pytest.fixture(
    scope="module",
    params=[("clip-rn50", 64), (TINY, 48), ("dinov2-s", 42)],
    ids=lambda param: param[0],
)
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Known:
    name, size = request.param
    torch.manual_seed(4)
    network, state, maps = (_dinov2 if name.startswith("dinov2") else _clip)(name, size)
    for parameter in network.parameters():  # untrained ones hold zeros that would hide mistakes
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=0.3)
    path = tmp_path_factory.mktemp(name) / "published.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return Known(ENCODERS[name], size, network, path, maps)


def _published(known: Known) -> State:
    return {name: value.clone() for name, value in known.network.state_dict().items()}


@torch.inference_mode()
def test_the_maps_are_the_library_s_own_intermediate_outputs(known: Known) -> None:
    backbone = known.load()
    images = torch.randn(2, 3, known.size, known.size)

    found, expected = backbone.module(images), known.maps(images)

    assert backbone.layers == known.encoder.default_layers
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, atol=1e-5 * float(other.abs().max()), rtol=0)


def test_only_what_the_last_layer_needs_is_kept(known: Known) -> None:
    kept, whole = used_state(known.load().module), known.network.state_dict()

    assert set(kept) < set(whole)
    assert not [name for name in kept if name.startswith(("layer4", "attnpool", "blocks.9", "proj"))]
    assert not [name for name in kept if name.startswith("transformer.resblocks.9")]
    for name, value in kept.items():
        assert torch.equal(value, whole[name]), name
    # Weights that hold no more than this are as good.
    assert used_state(known.load(kept).module).keys() == kept.keys()


def test_weights_that_lack_a_tensor_or_are_another_s_are_refused(known: Known) -> None:
    state = used_state(known.load().module)
    gone = sorted(state)[len(state) // 2]
    lacking = {name: value for name, value in state.items() if name != gone}

    with pytest.raises(WeightsError, match=f"not those of {known.encoder.name}: missing {gone}"):
        known.load(lacking)
    with pytest.raises(WeightsError, match=r"unknown extra\.weight"):
        known.load({**state, "extra.weight": torch.zeros(1)})


def test_the_exported_network_is_the_same_and_tensorrt_has_it(known: Known, tmp_path: Path) -> None:
    embedder = build_embedder(known.load().module, Preprocessing(image_size=known.size), "reference")
    path, half = tmp_path / "embedder.onnx", tmp_path / "half.onnx"
    images = np.random.default_rng(0).normal(size=(3, 3, known.size, known.size)).astype(np.float32)
    with torch.inference_mode():
        expected = embedder(torch.from_numpy(images)).numpy()

    write_onnx(embedder, torch.zeros(2, 3, known.size, known.size), path)
    write_fp16(path, half)

    for file, tolerance in ((path, 1e-5), (half, 2e-2)):
        check_operators(file)
        assert fixed_shapes(file, batch=3)["embeddings"] == expected.shape
        with OnnxRuntime(file, "cpu") as runtime:
            np.testing.assert_allclose(
                runtime.infer(images), expected, atol=tolerance * np.abs(expected).max()
            )
    if known.encoder.patch > 1:
        with pytest.raises(ExportError, match="it is a transformer"):
            write_int8(path, tmp_path / "int8.onnx", [images[:1]])


@pytest.mark.parametrize("side", [3, 7, 16])
def test_positions_are_laid_out_for_the_pictures_of_the_fit(side: int) -> None:
    positions = torch.randn(1, 1 + 49, 16)

    found = resized_positions(positions, 1, side)

    expected = resample_abs_pos_embed(positions, [side, side], num_prefix_tokens=1)
    torch.testing.assert_close(found, expected)
    assert resized_positions(positions[0], 1, side).shape == (1 + side * side, 16)
    assert resized_positions(positions[:, 3:], 1, side).shape == (1, 47, 16), "the check of shapes refuses it"


def test_weights_of_another_picture_size_are_taken(known: Known) -> None:
    larger = known.size + 2 * known.encoder.patch

    features = known.load(size=larger).module(torch.zeros(1, 3, larger, larger))

    assert features[0].shape[2] == larger // (8 if known.encoder.patch == 1 else known.encoder.patch)


@pytest.mark.parametrize("name", ["dinov2-s", "dinov2-s-reg"])
@torch.inference_mode()
def test_weights_as_the_authors_of_dinov2_name_them(name: str, tmp_path: Path) -> None:
    network, _, maps = _dinov2(name, 42)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["mask_token"] = torch.zeros(1, 384)
    if "reg_token" in state:
        state["register_tokens"] = state.pop("reg_token")
        of_class = torch.randn(1, 1, 384)
        state["cls_token"] = state["cls_token"] - of_class
        state["pos_embed"] = torch.cat([of_class, state["pos_embed"]], dim=1)
    torch.save(state, tmp_path / "pretrain.pth")
    images = torch.randn(1, 3, 42, 42)

    found = load_backbone(name, (), tmp_path / "pretrain.pth", size=42).module(images)

    torch.testing.assert_close(found[1], maps(images)[1], atol=1e-4, rtol=0)


def test_a_program_with_weights_is_not_run_but_explained(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what made OpenAI's files
        torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / "RN50.pt")

    with pytest.raises(WeightsError, match="TorchScript archive") as caught:
        load_backbone("clip-rn50", (), tmp_path / "RN50.pt", size=64)

    assert "safetensors" in caught.value.hint


@pytest.mark.parametrize("name", SHIPPED)
def test_the_catalogue_says_what_the_libraries_say(name: str) -> None:
    encoder = ENCODERS[name]
    if encoder.family == "dinov2":
        published = timm.get_pretrained_cfg(f"{encoder.architecture}.lvd142m")
        assert published is not None
        assert (encoder.mean, encoder.std) == (published.mean, published.std)
        assert encoder.repository == published.hf_hub_id
        return
    tags = open_clip.list_pretrained_tags_by_model(encoder.architecture)
    hubs = {open_clip.get_pretrained_cfg(encoder.architecture, tag)["hf_hub"]: tag for tag in tags}
    stated = open_clip.get_pretrained_cfg(encoder.architecture, hubs[f"{encoder.repository}/"])
    vision = open_clip.get_model_config(encoder.architecture)["vision_cfg"]
    assert (encoder.mean, encoder.std) == (stated["mean"], stated["std"])
    assert stated.get("quick_gelu", False) == encoder.architecture.endswith("quickgelu") or (
        encoder.family == "clip-resnet"  # which have no GELU
    )
    if encoder.family == "clip-vit":
        assert (encoder.patch, encoder.depth) == (vision["patch_size"], vision["layers"])


@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("dinov2-s", 256, "252 or 266"),
        ("clip-vit-l-14", 320, "308 or 322"),
        ("clip-vit-b-16", 100, "96 or 112"),
        ("dinov2-b", 32, "--image-size 42 "),
    ],
)
def test_a_size_that_is_no_whole_number_of_patches_is_refused(name: str, size: int, nearest: str) -> None:
    for refuse in (
        lambda: preprocessing_for(name, Preprocessing(image_size=size)),
        lambda: load_backbone(name, (), Path("not-read.pth"), size=size),
    ):
        with pytest.raises(OptionError, match=f"{size} px is no whole number") as caught:
            refuse()
        assert nearest in caught.value.hint


def test_each_encoder_sees_pictures_as_it_was_trained() -> None:
    asked = Preprocessing(image_size=256, crop=224)
    own = Preprocessing(mean=(0.1, 0.2, 0.3))

    found = preprocessing_for("clip-vit-b-16", asked)

    assert (found.image_size, found.crop) == (256, 224)
    assert found.mean == (0.48145466, 0.4578275, 0.40821073)
    assert preprocessing_for("dinov2-s", asked).mean == IMAGENET_MEAN
    assert preprocessing_for("resnet18", asked) is asked
    assert preprocessing_for("clip-vit-b-16", own) is own, "what was asked for is done"


@pytest.mark.parametrize(
    ("name", "layers", "words"),
    [
        ("clip-rn50", ("layer5",), "layer1 to layer4"),
        ("clip-vit-b-32", ("blocks.3",), r"transformer\.resblocks\.0 to transformer\.resblocks\.11"),
        ("dinov2-s", ("blocks.12",), r"blocks\.0 to blocks\.11; by default blocks\.5, blocks\.8"),
        ("dinov2-l", ("norm",), r"by default blocks\.11, blocks\.17"),
    ],
)
def test_layers_that_are_not_there_are_an_error(name: str, layers: tuple[str, ...], words: str) -> None:
    with pytest.raises(OptionError, match=f"no layer {layers[0]!r}") as caught:
        load_backbone(name, layers, Path("not-read.pth"))

    assert caught.match(words)


def test_an_unknown_name_lists_the_encoders() -> None:
    with pytest.raises(OptionError, match=r"clip-rn50, .*dinov2-s, "):
        load_backbone("clip-rn51")


def test_an_encoder_cannot_be_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be a teacher"):
        Teacher("dinov2-s", (), tmp_path / "not-read.pth", size=224, dims=128)


@pytest.mark.parametrize(("name", "library"), [("clip-rn50", "open_clip"), ("dinov2-s", "timm")])
def test_a_missing_library_names_the_extra(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    if library == "open_clip":
        monkeypatch.setitem(sys.modules, "open_clip.modified_resnet", None)

    with pytest.raises(MissingExtraError, match=rf"needs {library}.*\n.*pcedge\[backbones\]"):
        load_backbone(name)


def test_a_bundle_is_fitted_exported_and_restored_without_any_hub(
    tmp_path: Path, good_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    _, state, _ = _clip(TINY, 48)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    options = FitOptions(
        backbone=TINY,
        weights=tmp_path / "w.safetensors",
        preprocessing=Preprocessing(image_size=48),
        models=tmp_path / "models",
        cache_gb=0,
    )
    fitted = fit(good_images(tmp_path / "good"), options)
    (tmp_path / "w.safetensors").unlink()
    monkeypatch.setattr(
        "pcedge.networks.backbone_kinds.encoder_kind.encoder_file", lambda *_: pytest.fail("asked the hub")
    )

    exported = export_bundle(fitted.bundle)

    manifest = exported.bundle.manifest
    assert manifest.preprocessing.mean == ENCODERS[TINY].mean
    assert manifest.embedding.grid_hw == (3, 3)
    assert all(certificate.parity.holds for certificate in exported.certificates)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the libraries' hub, empty, on a machine without a network."""
    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "state"))
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("pcedge.networks.encoders.hub_weights._endpoint", lambda: "http://127.0.0.1:9")
    return cache


def test_without_weights_and_network_the_error_says_how_to_get_them(hub: Path) -> None:
    with pytest.raises(WeightsUnavailableError, match="dinov2-s are not on this machine") as caught:
        load_backbone("dinov2-s")

    assert "timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors" in caught.value.hint
    assert "--weights FILE" in caught.value.hint
    assert str(hub) in caught.value.hint


@pytest.fixture
def server(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub that has the second file of CLIP's repositories and no other."""
    content = b"weights" * 300_000
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(content)

        def _answer(self, body: bytes) -> None:
            asked.append(f"{self.command} {self.path}")
            there = self.path.endswith("open_clip_pytorch_model.bin")
            self.send_response(200 if there else 404)
            self.send_header("Content-Length", str(len(content) if there else 0))
            if there:
                self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "a" * 40)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            if there:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        monkeypatch.setattr(
            "pcedge.networks.encoders.hub_weights._endpoint",
            lambda: f"http://127.0.0.1:{serving.server_port}",
        )
        yield content, asked
        serving.shutdown()
        thread.join()


def test_weights_are_downloaded_once_into_the_libraries_cache(hub: Path, server: Any) -> None:
    content, asked = server
    told: list[tuple[str, int, int]] = []

    path = encoder_file(ENCODERS["clip-rn50"], lambda *progress: told.append(progress))
    requests = len(asked)

    assert path.read_bytes() == content
    assert path.is_relative_to(hub)
    assert told[-1] == ("download", 2, 2)
    assert encoder_file(ENCODERS["clip-rn50"]) == path
    assert len(asked) == requests


def test_weights_stay_those_that_were_taken_first(hub: Path, server: Any, tmp_path: Path) -> None:
    content, asked = server
    path = encoder_file(ENCODERS["clip-rn50"])
    shutil.rmtree(hub)
    asked.clear()

    again = encoder_file(ENCODERS["clip-rn50"])

    assert again.read_bytes() == content
    assert any("/resolve/" + "a" * 40 in one for one in asked), "the revision that is known"
    assert not any("/resolve/main/" in one for one in asked)
    other = b"other weights"
    again.unlink()
    again.symlink_to(again.parents[2] / "blobs" / sha256(other).hexdigest())
    again.resolve().write_bytes(other)
    with pytest.raises(WeightsUnavailableError, match=sha256(content).hexdigest()) as caught:
        encoder_file(ENCODERS["clip-rn50"])
    assert str(tmp_path / "state" / "weights.json") in caught.value.hint
    assert path.name in caught.value.what


def test_weights_that_are_not_what_the_hub_said_are_refused(hub: Path, server: Any) -> None:
    path = encoder_file(ENCODERS["clip-rn50"])
    path.resolve().write_bytes(b"damaged")

    with pytest.raises(WeightsUnavailableError, match="is damaged"):
        encoder_file(ENCODERS["clip-rn50"])


def test_a_damaged_list_of_what_was_taken_is_said(hub: Path, server: Any, tmp_path: Path) -> None:
    encoder_file(ENCODERS["clip-rn50"])
    (tmp_path / "state" / "weights.json").write_bytes(b"[1]")

    with pytest.raises(WeightsUnavailableError, match=r"weights\.json.*cannot be read"):
        encoder_file(ENCODERS["clip-rn50"])
