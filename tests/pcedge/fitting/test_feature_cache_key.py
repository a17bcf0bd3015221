"""What a cached feature is known by, and where the cache lies."""

import os
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from pcedge.core.defaults import default_cache_directory
from pcedge.core.preprocessing import Preprocessing
from pcedge.fitting.feature_cache import content_digest, embedder_key

STATED: dict[str, Any] = {
    "backbone": "resnet18",
    "layers": ("layer2", "layer3"),
    "weights_sha256": "ab",
    "embedding": "reference",
    "preprocessing": Preprocessing(),
    "runtime": "torch (cpu)",
    "batch": 8,
}


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet50"},
        {"layers": ("layer3", "layer2")},
        {"layers": ("layer2", "layer3", "layer4")},
        {"backbone": "resnet18layer2", "layers": ("layer3",)},
        {"weights_sha256": "ac"},
        {"embedding": "mean"},
        {"preprocessing": Preprocessing(image_size=256, crop=224)},
        {"preprocessing": Preprocessing(mean=(0.5, 0.5, 0.5))},
        {"preprocessing": Preprocessing(std=(0.5, 0.5, 0.5))},
        {"runtime": "torch (cuda)"},
        {"batch": 16},
    ],
)
def test_everything_stated_is_in_the_key(change: dict[str, Any]) -> None:
    assert embedder_key(**STATED) == embedder_key(**STATED)
    assert embedder_key(**{**STATED, **change}) != embedder_key(**STATED)


@pytest.mark.parametrize("library", ["pcedge", "numpy", "pillow", "torch", "torchvision"])
def test_libraries_are_in_the_key(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = embedder_key(**STATED)
    monkeypatch.setattr(
        "pcedge.fitting.feature_cache.version", lambda name: version(name) + ".1" * (name == library)
    )

    assert embedder_key(**STATED) != before


@pytest.mark.parametrize("module", ["pcedge_s.py", "features.py", "gate.py", "images.py", "torch_runtime.py"])
def test_the_code_is_in_the_key(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    before = embedder_key(**STATED)
    read = Path.read_text

    def with_a_change(path: Path, *args: Any, **options: Any) -> str:
        return read(path, *args, **options) + "#" * (path.name == module)

    monkeypatch.setattr(Path, "read_text", with_a_change)

    assert embedder_key(**STATED) != before


def test_the_number_of_threads_is_in_the_key() -> None:
    threads, before = torch.get_num_threads(), embedder_key(**STATED)
    try:
        torch.set_num_threads(threads + 1)
        assert embedder_key(**STATED) != before
    finally:
        torch.set_num_threads(threads)

    assert embedder_key(**STATED) == before


def test_the_key_is_the_same_in_another_process() -> None:
    code = (
        "import torch, sys; from tests.pcedge.fitting.test_feature_cache_key import STATED, embedder_key;"
        "torch.set_num_threads(int(sys.argv[1])); print(embedder_key(**STATED))"
    )
    root = Path(__file__).parents[3]

    done = subprocess.run(
        [sys.executable, "-c", code, str(torch.get_num_threads())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"},
    )

    assert done.stdout.strip() == embedder_key(**STATED)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 21) + 5])
def test_the_digest_follows_from_the_bytes_alone(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    digests = []
    for name, written in (("a.png", content), ("b.jpg", content), ("c.png", content + b"x")):
        (tmp_path / name).write_bytes(written)
        digests.append(content_digest(tmp_path / name))

    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 40


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PCEDGE_CACHE": "/here", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/here"),
        ({"PCEDGE_CACHE": "", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/xdg/pcedge"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/u"}, "/home/u/.cache/pcedge"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/u"}, "/home/u/.cache/pcedge"),
        ({"HOME": "/home/u"}, "/home/u/.cache/pcedge"),
    ],
)
def test_where_the_cache_lies(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("PCEDGE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert default_cache_directory() == Path(expected)


def test_a_user_without_a_home_has_a_cache_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PCEDGE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)  # has no entry in the passwords either

    assert default_cache_directory() == Path(".cache/pcedge")
