from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources
from pcedge.bundles.bundle import Bundle, seal, write_bundle
from pcedge.bundles.manifest import (
    SCHEMA_VERSION,
    BackboneInfo,
    BankInfo,
    EmbeddingInfo,
    Manifest,
    MapInfo,
    ThresholdInfo,
)
from pcedge.core.machine import Machine
from pcedge.core.preprocessing import Preprocessing
from pcedge.evaluation.runs import (
    DataFacts,
    ImageRow,
    RecordedMetric,
    Run,
    RunImage,
    RuntimeResult,
    Settings,
    ThresholdFacts,
)
from pcedge.export import Runtime
from pcedge.fitting.feature_cache import FeatureCache
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.verification.golden import with_fault, write_golden

GRID, DIMS, SIZE = (4, 4), 6, 32


class BlockRuntime:
    """A stand-in for a network: mean and spread of every channel in blocks of 8 x 8 pixels."""

    def __init__(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self._change = change

    @property
    def name(self) -> str:
        return "blocks"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        n, _, height, width = images.shape
        blocks = images.reshape(n, 3, height // 8, 8, width // 8, 8)
        values = np.concatenate([blocks.mean(axis=(3, 5)), blocks.std(axis=(3, 5))], axis=1)
        embeddings = values.reshape(n, 6, -1).transpose(0, 2, 1)
        return self._change(np.ascontiguousarray(embeddings, np.float32))

    def __enter__(self) -> "BlockRuntime":
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def make_runtime() -> Callable[..., Runtime]:
    """A cheap runtime; ``change`` falsifies what it returns."""

    def make(change: Callable[..., Any] = lambda embeddings: embeddings) -> Runtime:
        return BlockRuntime(change)

    return make


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        name="part",
        dataset="lines/part",
        images=5,
        skipped={"good/ü.png": "is empty"},
        preprocessing=Preprocessing(image_size=SIZE),
        backbone=BackboneInfo(name="blocks", layers=("only",), weights="none", weights_sha256="0" * 64),
        embedding=EmbeddingInfo(kind="mean", dims=DIMS, grid_hw=GRID),
        bank=BankInfo(
            rows=80, patches=80, coreset="1", projection_dims=DIMS, seed=0, radius=0.0, guarantee="exact"
        ),
        threshold=ThresholdInfo(
            score=0.5,
            map=0.25,
            false_reject_rate=0.1,
            method="stated",
            held_out={"good/0.png": 0.1},
        ),
        map=MapInfo(sigma=4.0),
    )


@pytest.fixture
def pictures() -> list[NDArray[np.uint8]]:
    """Five images of one kind, in several shapes."""
    rng = np.random.default_rng(5)
    shapes = [(40, 50, 3), (64, 64, 3), (33, 71, 3), (48, 32, 3), (90, 90, 3)]
    return [np.clip(rng.normal(120, 20, shape), 0, 255).astype(np.uint8) for shape in shapes]


@pytest.fixture
def inspector(
    make_runtime: Callable[..., Runtime], manifest: Manifest, pictures: list[NDArray[np.uint8]]
) -> Inspector:
    """An inspector whose bank holds every patch of ``pictures`` but the last."""
    runtime = make_runtime()
    inputs = np.stack([manifest.preprocessing.apply(picture) for picture in pictures[:-1]])
    rows = runtime.infer(inputs).reshape(-1, DIMS)
    names = tuple(f"good/{number}.png" for number in range(len(inputs)))
    sources = RowSources.of_patches(names, np.arange(len(rows)), GRID)
    return Inspector(
        runtime,
        Bank.build(rows, sources),
        manifest.preprocessing,
        GRID,
        threshold=manifest.threshold.score,
        map_threshold=manifest.threshold.map,
    )


@pytest.fixture
def make_bundle(
    inspector: Inspector, manifest: Manifest, pictures: list[NDArray[np.uint8]]
) -> Callable[..., Bundle]:
    """Write a small but whole bundle; keywords replace parts of its manifest."""

    def make(directory: Path, **changes: Any) -> Bundle:
        frames = with_fault(dict(zip(("highest", "lowest", "median"), pictures[-3:], strict=True)), seed=0)
        with write_bundle(directory) as staging:
            inspector.bank.save(staging)
            write_golden(staging, frames, inspector)
            sealed = seal(staging, msgspec.structs.replace(manifest, **changes))
        return Bundle(directory, sealed)

    return make


@dataclass(frozen=True)
class Shelf:
    """A feature cache of small entries, and what lies in its folder; images are known by numbers."""

    folder: Path
    shape: tuple[int, int] = (5, 7)
    key: str = "0" * 32
    entry_bytes: int = 20 + 4 * 5 * 7

    def open(
        self, entries: float = 100, *, key: str | None = None, shape: tuple[int, int] | None = None
    ) -> FeatureCache:
        """Open the cache with a limit of so many entries."""
        limit = int(entries * self.entry_bytes)
        return FeatureCache(self.folder, limit, key or self.key, shape or self.shape)

    def fill(self, numbers: Iterable[int], entries: float = 100) -> FeatureCache:
        cache = self.open(entries)
        for number in numbers:
            cache.store(self.digest(number), self.rows(number))
        assert cache.problem == ""
        return cache

    def rows(self, number: int) -> NDArray[np.float32]:
        return np.random.default_rng(number).normal(size=self.shape).astype(np.float32)

    def digest(self, number: int) -> str:
        return f"{number:040x}"

    def known(self) -> set[int]:
        """Which images are there, found without a cache that could remove or date anything."""
        return {int(path.name[:40], 16) for path in self.folder.glob("features/*.f32")}

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("features/*"))

    def entry(self) -> Path:
        """The only entry's file."""
        [path] = self.folder.glob("features/*.f32")
        return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A feature cache in a folder that does not exist yet."""
    return Shelf(tmp_path / "cache")


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Make a small run; keywords replace parts of it."""

    def make(**changes: Any) -> Run:
        run = Run(
            name="bolt",
            created="2026-01-01T00:00:00+00:00",
            pcedge_version="0.1.0",
            request="0" * 40,
            command="pcedge suite bolt",
            data=DataFacts(
                name="bolt",
                title="lines/bolt",
                layout="mvtec-ad",
                digest="1" * 40,
                train=9,
                kinds={"good": 1, "dent, deep": 1},
                masks=1,
            ),
            settings=Settings(
                preset="edge",
                backbone="pcedge-s",
                layers=("descriptors",),
                weights="shipped",
                weights_sha256="2" * 64,
                preprocessing=Preprocessing(image_size=96),
                embedding="mean",
                dims=128,
                coreset="0.01",
                bank_rows=10,
                neighbours=1,
                seed=0,
            ),
            threshold=ThresholdFacts(
                score=2.5, map=2.0, false_reject_rate=0.1, method="stated", held_out=(1.0, 2.0)
            ),
            metrics={
                "image_auroc": RecordedMetric(value=0.9, interval=(0.8, 1.0)),
                "aupro": RecordedMetric(value=None, reason="-"),
            },
            runtimes=(RuntimeResult(runtime="torch", description="torch (cpu)", frame_ms=3.5),),
            seconds={"embed": 1.5},
            bank_bytes=5120,
            bundle_bytes=9999,
            images=(
                ImageRow(name="test/good/ü.png", kind="good", defect=False, score=1.25, verdict="OK"),
                ImageRow(
                    name="test/dent, deep/0.png", kind="dent, deep", defect=True, score=3.5, verdict="NG"
                ),
            ),
            skipped={"test/good/1.png": "is not an image"},
            unusable_masks={},
            pictures=(
                RunImage(
                    group="found",
                    name="test/dent, deep/0.png",
                    kind="dent, deep",
                    score=3.5,
                    picture="pictures/a.jpg",
                    heatmap="pictures/b.jpg",
                ),
            ),
            machine=Machine(system="Linux x86_64", board=None, processor=None, cores=2, gpu=None),
            libraries={"python": "3.11"},
        )
        return msgspec.structs.replace(run, **changes)

    return make
