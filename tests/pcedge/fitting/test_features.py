import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import read_image, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.export import Runtime, TorchRuntime
from pcedge.fitting import features
from pcedge.fitting.feature_cache import FeatureCache
from pcedge.fitting.features import BATCH, Features, embed_images, unusable
from pcedge.networks.backbones import load_backbone
from pcedge.networks.embedder import build_embedder

SMALL = Preprocessing(image_size=32)
SHAPE = (16, 6)  # of the blocks of ``make_runtime``
# What ``_spoil`` makes of the images, and a part of the reason for which they are then skipped.
UNUSABLE = {
    0: "does not exist",
    3: "is empty",
    5: "black",
    9: "cannot be decoded",
    12: "blank",
    13: "overexposed",
    19: "is not an image",
}

# Embeds a folder with the compact network; prints the digest of the result and how many images were known.
EMBEDDER = """
import sys
from hashlib import sha256
from pathlib import Path
from pcedge.networks.backbones import load_backbone
from pcedge.camera import list_images
from pcedge.networks.embedder import build_embedder
from pcedge.export import TorchRuntime
from pcedge.fitting.feature_cache import FeatureCache
from pcedge.fitting.features import embed_images
from pcedge.core.preprocessing import Preprocessing

preprocessing = Preprocessing(image_size=64)
embedder = build_embedder(load_backbone("pcedge-s").module, preprocessing, "mean")
shape = (embedder.patches, embedder.dims)
cache = FeatureCache(Path(sys.argv[2]), 10**8, "0" * 32, shape)
paths = list_images(sys.argv[1])
found = embed_images(
    paths, TorchRuntime(embedder, "cpu"), preprocessing, shape, cache=cache,
    progress=lambda stage, done, total: print(done, flush=True),
)
print(sha256(found.embeddings.tobytes()).hexdigest(), found.cached, cache.problem)
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Twenty images of different content."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    found = [folder / f"{number:02}.png" for number in range(20)]
    for path in found:
        write_image(path, rng.integers(0, 255, (40, 50, 3), np.uint8))
    return found


@pytest.fixture
def open_cache(tmp_path: Path) -> Callable[[], FeatureCache]:
    return lambda: FeatureCache(tmp_path / "cache", 10**7, "0" * 32, SHAPE)


def _embed(
    paths: list[Path], runtime: Runtime, cache: FeatureCache | None = None, **options: Any
) -> Features:
    return embed_images(paths, runtime, SMALL, SHAPE, cache=cache, **options)


def _spoil(paths: list[Path]) -> None:
    paths[0].unlink()
    paths[3].write_bytes(b"")
    paths[9].write_bytes(paths[9].read_bytes()[:400])
    paths[19].write_bytes(b"hello")
    for number, grey in ((5, 0), (12, 128), (13, 255)):
        write_image(paths[number], np.full((40, 50, 3), grey, np.uint8))


def _no_network(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    raise AssertionError("the network was run")


def _depends_on_count(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """As some networks do in the last bits: another number of images, another result."""
    return embeddings * np.float32(1 + 1e-6 * len(embeddings))


def test_each_image_has_its_own_embeddings_in_order(paths: list[Path], make_runtime: Any) -> None:
    found = _embed(paths, make_runtime())

    assert found.paths == tuple(paths)
    assert found.embeddings.shape == (20, *SHAPE)
    assert found.skipped == {}
    assert found.cached == 0
    for path, embeddings in zip(paths, found.embeddings, strict=True):
        alone = make_runtime().infer(SMALL.apply(read_image(path))[None])[0]
        assert (embeddings == alone).all()


def test_a_warm_fit_equals_a_cold_one_and_runs_no_network(
    paths: list[Path], make_runtime: Any, open_cache: Any
) -> None:
    without = _embed(paths, make_runtime())
    cold = _embed(paths, make_runtime(), open_cache())
    warm = _embed(paths, make_runtime(_no_network), open_cache())

    assert (cold.cached, warm.cached) == (0, 20)
    assert warm.paths == cold.paths == without.paths
    assert warm.embeddings.tobytes() == cold.embeddings.tobytes() == without.embeddings.tobytes()


@pytest.mark.parametrize("known", [1, 4, 7, 8, 12, 13, 19])
def test_what_is_known_never_changes_a_bit(
    paths: list[Path], make_runtime: Any, open_cache: Any, known: int
) -> None:
    runtime = make_runtime(_depends_on_count)
    expected = _embed(paths, runtime)
    _embed(random.Random(known).sample(paths, known), runtime, open_cache())

    found = _embed(paths, runtime, open_cache())

    assert found.cached == known
    assert found.paths == expected.paths
    assert found.embeddings.tobytes() == expected.embeddings.tobytes()


@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 16, 17])
def test_the_network_always_gets_a_full_batch(paths: list[Path], make_runtime: Any, count: int) -> None:
    sizes = []

    def note(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(len(embeddings))
        return embeddings

    found = _embed(paths[:count], make_runtime(note))

    assert sizes == [BATCH] * -(-count // BATCH)
    assert len(found.embeddings) == count


def test_other_names_and_an_other_order_are_known_too(
    paths: list[Path], make_runtime: Any, open_cache: Any, tmp_path: Path
) -> None:
    cold = _embed(paths, make_runtime(), open_cache())
    moved = [path.rename(tmp_path / f"{19 - number}.png") for number, path in enumerate(paths)][::-1]

    warm = _embed(moved, make_runtime(_no_network), open_cache())

    assert warm.paths == tuple(moved)
    assert (warm.embeddings == cold.embeddings[::-1]).all()


def test_an_image_with_new_content_is_computed_again(
    paths: list[Path], make_runtime: Any, open_cache: Any
) -> None:
    cold = _embed(paths, make_runtime(), open_cache())
    kept = paths[5].stat()
    content = bytearray(Path(paths[6]).read_bytes())
    paths[5].write_bytes(content)
    os.utime(paths[5], ns=(kept.st_atime_ns, kept.st_mtime_ns))

    warm = _embed(paths, make_runtime(), open_cache())

    assert (warm.embeddings[5] == cold.embeddings[6]).all()
    assert not (warm.embeddings[5] == cold.embeddings[5]).all()


def test_a_damaged_entry_is_computed_again(
    paths: list[Path], make_runtime: Any, open_cache: Any, tmp_path: Path
) -> None:
    cold = _embed(paths, make_runtime(), open_cache())
    for number, entry in enumerate(sorted(tmp_path.glob("cache/features/*"))[:9]):
        content = bytearray(entry.read_bytes())
        content[random.Random(number).randrange(len(content))] ^= 1
        entry.write_bytes(content)

    warm = _embed(paths, make_runtime(), open_cache())

    assert warm.cached == 11
    assert warm.embeddings.tobytes() == cold.embeddings.tobytes()
    assert _embed(paths, make_runtime(_no_network), open_cache()).cached == 20


@pytest.mark.parametrize("with_cache", [True, False])
def test_images_that_cannot_be_used_are_skipped_with_their_reason(
    paths: list[Path], make_runtime: Any, open_cache: Any, with_cache: bool
) -> None:
    expected = _embed([paths[number] for number in range(20) if number not in UNUSABLE], make_runtime())
    _spoil(paths)
    for _ in range(2):
        found = _embed(paths, make_runtime(), open_cache() if with_cache else None)

        assert found.paths == expected.paths
        assert found.embeddings.tobytes() == expected.embeddings.tobytes()
        assert list(found.skipped) == [paths[number] for number in UNUSABLE]
        for (path, said), reason in zip(found.skipped.items(), UNUSABLE.values(), strict=True):
            assert said.startswith(str(path))
            assert reason in said
    assert found.cached == (13 if with_cache else 0)


def test_what_would_be_skipped_is_known_without_the_network(paths: list[Path], make_runtime: Any) -> None:
    _spoil(paths)

    assert unusable(paths) == _embed(paths, make_runtime()).skipped


def test_images_that_show_nothing_can_all_be_skipped(paths: list[Path], make_runtime: Any) -> None:
    for path in paths:
        write_image(path, np.zeros((40, 50, 3), np.uint8))

    found = _embed(paths, make_runtime(_no_network))

    assert found.paths == ()
    assert found.embeddings.shape == (0, *SHAPE)
    assert len(found.skipped) == 20


def _vanish(path: Path) -> NDArray[np.uint8]:
    path.unlink()
    return read_image(path)


def _change_before(path: Path) -> NDArray[np.uint8]:
    shutil.copyfile(path.with_name("19.png"), path)
    return read_image(path)


def _change_after(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    shutil.copyfile(path.with_name("19.png"), path)
    return image


def _vanish_after(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    path.unlink()
    return image


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (_vanish, "does not exist"),
        (_vanish_after, "does not exist"),
        (_change_before, "changed while it was read"),
        (_change_after, "changed while it was read"),
    ],
)
def test_an_image_that_changes_while_it_is_read_is_skipped_and_poisons_nothing(
    paths: list[Path],
    make_runtime: Any,
    open_cache: Any,
    monkeypatch: pytest.MonkeyPatch,
    event: Callable[[Path], NDArray[np.uint8]],
    reason: str,
) -> None:
    first = paths[4].read_bytes()
    expected = _embed(paths, make_runtime())
    with monkeypatch.context() as patch:
        patch.setattr(
            features, "read_content", lambda path: event(path) if path == paths[4] else read_image(path)
        )
        found = _embed(paths, make_runtime(), open_cache())

    assert list(found.skipped) == [paths[4]]
    assert reason in found.skipped[paths[4]]
    assert found.paths == (*paths[:4], *paths[5:])
    paths[4].write_bytes(first)
    again = _embed(paths, make_runtime(), open_cache())
    assert again.cached == 19
    assert again.embeddings.tobytes() == expected.embeddings.tobytes()


def test_progress_counts_only_what_is_done(paths: list[Path], make_runtime: Any, open_cache: Any) -> None:
    _embed(paths[3:6], make_runtime(), open_cache())
    paths[10].write_bytes(b"hello")
    told: list[tuple[str, int, int]] = []
    at_network: list[int] = []

    def note(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        at_network.append(told[-1][1])
        return embeddings

    _embed(paths, make_runtime(note), open_cache(), progress=lambda *what: told.append(what))

    done = [number for _, number, _ in told]
    assert {(stage, total) for stage, _, total in told} == {("embed", 20)}
    assert done == sorted(done)
    assert done[-1] == 20
    # Three known ones and the unreadable one came before the first batch was full.
    assert at_network == [4, 12]


def test_a_cache_that_breaks_in_the_middle_changes_nothing(
    paths: list[Path], make_runtime: Any, open_cache: Any, tmp_path: Path
) -> None:
    expected = _embed(paths, make_runtime())
    calls: list[int] = []

    def lose_the_cache(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(embeddings))
        if len(calls) == 2:
            (tmp_path / "cache").rename(tmp_path / "gone")
        return embeddings

    cache = open_cache()
    found = _embed(paths, make_runtime(lose_the_cache), cache)

    assert found.paths == expected.paths
    assert found.embeddings.tobytes() == expected.embeddings.tobytes()
    assert str(tmp_path / "cache") in cache.problem


def test_a_network_that_fails_leaves_no_entries_of_its_batch(
    paths: list[Path], make_runtime: Any, open_cache: Any
) -> None:
    calls: list[int] = []

    def fail(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(embeddings))
        if len(calls) == 2:
            raise MemoryError
        return embeddings

    with pytest.raises(MemoryError):
        _embed(paths, make_runtime(fail), open_cache())

    assert _embed(paths, make_runtime(), open_cache()).cached == 8


def _start(paths: list[Path], cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", EMBEDDER, str(paths[0].parent), str(cache)], stdout=subprocess.PIPE, text=True
    )


def _result(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()[-1].split()


def test_two_fits_at_once_and_one_killed_give_the_bytes_of_an_undisturbed_one(
    paths: list[Path], tmp_path: Path
) -> None:
    undisturbed = _start(paths, tmp_path / "alone")
    killed = _start(paths, tmp_path / "cache")
    assert killed.stdout is not None
    with killed.stdout:
        while int(killed.stdout.readline()) < BATCH:
            pass
        time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    both = [_start(paths, tmp_path / "cache") for _ in range(2)]

    [digest, cached] = _result(undisturbed)
    assert cached == "0"
    assert [_result(process)[0] for process in both] == [digest, digest]
    assert _result(_start(paths, tmp_path / "cache")) == [digest, "20"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "layers"), [("resnet18", ()), ("squeezenet1_0", ("features.7", "features.12"))]
)
def test_a_real_network_gives_the_same_bytes_in_any_company(
    shared: Path, tmp_path: Path, name: str, layers: tuple[str, ...]
) -> None:
    paths = sorted((shared / "data" / "mvtec" / "bottle" / "train" / "good").iterdir())[: BATCH + 1]
    preprocessing = Preprocessing(image_size=224)
    backbone = load_backbone(name, layers, shared / "weights" / f"{name}.pth")
    embedder = build_embedder(backbone.module, preprocessing, "reference")
    runtime, shape = TorchRuntime(embedder, "cpu"), (embedder.patches, embedder.dims)

    def embed(some: list[Path], cache: FeatureCache | None = None) -> Features:
        return embed_images(some, runtime, preprocessing, shape, cache=cache)

    def open_cache() -> FeatureCache:
        return FeatureCache(tmp_path, 10**9, "0" * 32, shape)

    # The last image has no company the first time, nor has the first the second time.
    cold = embed(paths)
    embed([paths[1]], open_cache())
    embed(paths[2:], open_cache())
    warm = embed(paths, open_cache())

    assert warm.cached == BATCH
    assert warm.embeddings.tobytes() == cold.embeddings.tobytes()
