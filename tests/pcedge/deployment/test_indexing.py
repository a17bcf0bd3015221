"""Ways to search a bundle's bank: compared, kept, chosen, and proved like everything else."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import INDEX_FILE, MilvusAddress, RerankedSearch
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.files import describe_file
from pcedge.camera import Frame, Verdict, one_by_one
from pcedge.deployment.indexing.comparison import (
    BuiltIndex,
    Frames,
    IndexReport,
    build_index,
    compare_indexes,
    golden_frames,
)
from pcedge.deployment.indexing.spec import IndexSpec
from pcedge.deployment.indexing.stored_indexes import keep_indexes
from pcedge.errors import BankServerError, BundleError, DatasetError, OptionError
from pcedge.export import Runtime
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.verification.golden import read_golden
from pcedge.inspection.verification.parity import measure_parity

# Two bits a row, and one list of four: many of the nearest rows are missed.
COARSE = "IVF4,PQ1x2:nprobe=1"


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "part")


def _built(bundle: Bundle, *names: str, candidates: int = 1) -> list[BuiltIndex]:
    return [build_index(bundle, IndexSpec.parse(name, candidates)) for name in ("exact", *names)]


def _kept(bundle: Bundle, *names: str, **options: Any) -> Bundle:
    built = _built(bundle, *names)
    reports = compare_indexes(bundle, built, golden_frames(bundle))
    pairs = [(one, report.cost) for one, report in zip(built, reports, strict=True)]
    return keep_indexes(bundle, pairs[1:], **options)


def _noise(count: int, dims: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.3, (count, dims)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "factory", "parameters", "slug"),
    [
        ("HNSW32", "HNSW32", "efSearch=64", "hnsw32"),
        (" IVF256,Flat ", "IVF256,Flat", "nprobe=16", "ivf256-flat"),
        ("IVF256,PQ64:nprobe=8", "IVF256,PQ64", "nprobe=8", "ivf256-pq64-nprobe-8"),
        ("SQ8", "SQ8", "", "sq8"),
    ],
)
def test_an_index_is_named_by_factory_and_parameters(
    name: str, factory: str, parameters: str, slug: str
) -> None:
    spec = IndexSpec.parse(name)

    assert (spec.factory, spec.parameters, spec.slug, spec.is_exact) == (factory, parameters, slug, False)


def test_a_name_without_a_factory_is_refused() -> None:
    with pytest.raises(OptionError, match="names no index"):
        IndexSpec.parse(":nprobe=3")


def test_ways_to_search_are_compared_on_the_golden_frames(bundle: Bundle) -> None:
    exact, int8, flat, coarse = compare_indexes(
        bundle, _built(bundle, "int8", "Flat", COARSE), golden_frames(bundle)
    )

    for one in (exact, int8, flat):
        assert (one.cost.recall, one.cost.score_error_largest, one.cost.flips) == (1.0, 0.0, 0)
    assert (exact.cost.proved, int8.cost.proved, flat.cost.proved, coarse.cost.proved) == (
        1.0,
        1.0,
        None,
        None,
    )
    assert (exact.file_bytes, int8.file_bytes) == (0, 0)
    assert min(exact.memory_bytes, flat.file_bytes) >= 4 * 64 * 6
    assert coarse.cost.recall < 1.0
    assert coarse.cost.score_error_largest >= coarse.cost.score_error_mean > 0.0
    assert coarse.cost.source == "golden frames"
    assert coarse.to_dict()["cost"]["recall"] == coarse.cost.recall


def _on_frames(bundle: Bundle, frames: Sequence[tuple[bool, NDArray[np.float32]]]) -> list[IndexReport]:
    return compare_indexes(bundle, _built(bundle, COARSE), Frames("noise", len(frames), frames))


def test_what_missed_rows_cost_is_counted_by_verdicts(bundle: Bundle) -> None:
    """The threshold lies between the exact scores and those of the index: every verdict of it is another."""
    frames = [(number % 2 == 1, _noise(16, 6, number)) for number in range(8)]
    unlimited = _on_frames(bundle, frames)[1].cost
    assert unlimited.recall < 1.0
    exact = build_index(bundle, IndexSpec("exact")).bank
    scores = sorted(float(exact.search(embeddings)[0].max()) for _, embeddings in frames)
    limit = msgspec.structs.replace(bundle.manifest.threshold, score=scores[-1])
    strict = Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, threshold=limit))

    report, coarse = _on_frames(strict, frames)

    assert report.cost.flips == 0
    assert 0 < coarse.cost.good_flips <= coarse.cost.flips
    assert coarse.cost.frames == 8
    assert coarse.image_auroc is not None


def test_frames_without_a_score_are_left_out_and_none_at_all_is_an_error(bundle: Bundle) -> None:
    broken = _noise(16, 6)
    broken[3, 2] = np.nan

    assert _on_frames(bundle, [(False, broken), (False, _noise(16, 6))])[0].cost.frames == 1
    with pytest.raises(DatasetError, match="no frame"):
        _on_frames(bundle, [(False, broken)])


def test_a_kept_index_lies_beside_the_bank_which_stays_as_it_is(bundle: Bundle) -> None:
    before = (bundle.directory / INDEX_FILE).read_bytes()

    kept = _kept(bundle, COARSE, "SQ8")

    assert (kept.directory / INDEX_FILE).read_bytes() == before
    assert kept.manifest == Bundle.open(kept.directory).manifest
    assert list(kept.manifest.indexes) == [COARSE, "SQ8"]
    assert kept.manifest.index == "exact"
    info = kept.manifest.indexes[COARSE]
    assert (info.factory, info.parameters, info.candidates) == ("IVF4,PQ1x2", "nprobe=1", 1)
    assert info.file == "bank.ivf4-pq1x2-nprobe-1.faiss"
    assert describe_file(kept.file(info.file)) == kept.manifest.files[info.file]
    queries = _noise(50, 6)
    exact, _ = kept.open_bank().search(queries)
    coarse, _ = kept.searched_by(COARSE).open_bank().search(queries)
    assert (coarse >= exact).all()
    assert (coarse > exact).any()


def test_the_index_in_use_is_the_one_that_opens_and_int8_gives_the_same(bundle: Bundle) -> None:
    queries = _noise(50, 6)
    expected = bundle.open_bank().search(queries)[1]

    used = Bundle.open(_kept(bundle, "HNSW8", use="HNSW8").directory)
    assert used.manifest.index == "HNSW8"
    assert used.open_bank().approximate is not None

    back = Bundle.open(keep_indexes(used, [], use="int8").directory)
    assert back.manifest.index == "int8"
    assert back.open_bank().approximate is None
    np.testing.assert_array_equal(back.open_bank().search(queries)[1], expected)


def test_an_index_is_replaced_and_dropped_whole(bundle: Bundle) -> None:
    kept = _kept(_kept(bundle, "SQ8", use="SQ8"), "SQ8")
    info = kept.manifest.indexes["SQ8"]
    assert kept.manifest.index == "SQ8"

    dropped = keep_indexes(kept, [], drop=["SQ8"])

    assert (dropped.manifest.index, dropped.manifest.indexes) == ("exact", {})
    assert not (dropped.directory / info.file).exists()
    assert not (dropped.directory / info.golden).exists()
    with pytest.raises(OptionError, match="keeps no index 'SQ8' to drop"):
        keep_indexes(dropped, [], drop=["SQ8"])


@pytest.mark.parametrize("index", ["HNSW32", "nonsense"])
def test_an_index_that_is_not_kept_cannot_be_chosen(bundle: Bundle, index: str) -> None:
    with pytest.raises(OptionError, match=f"keeps no index '{index}', only: exact; int8") as caught:
        bundle.searched_by(index)
    assert "pcedge index" in caught.value.hint
    before = bundle.manifest

    with pytest.raises(OptionError):
        keep_indexes(bundle, [], use=index)

    assert Bundle.open(bundle.directory).manifest == before


@pytest.mark.parametrize("name", ["file", "golden"])
def test_a_changed_index_file_is_noticed(bundle: Bundle, name: str) -> None:
    kept = _kept(bundle, "SQ8", use="SQ8")
    path = kept.directory / getattr(kept.manifest.indexes["SQ8"], name)
    content = bytearray(path.read_bytes())
    content[-5] ^= 255
    path.write_bytes(content)

    with pytest.raises(BundleError, match=path.name.replace(".", r"\.")):
        (kept.open_bank, lambda: read_golden(kept))[name == "golden"]()


def test_an_index_of_an_earlier_bank_is_refused(bundle: Bundle) -> None:
    kept = _kept(bundle, "SQ8", use="SQ8")
    info = msgspec.structs.replace(kept.manifest.indexes["SQ8"], bank_sha256="0" * 64)
    stale = Bundle(kept.directory, msgspec.structs.replace(kept.manifest, indexes={"SQ8": info}))

    with pytest.raises(BundleError, match="no index 'SQ8' for the rows in its bank"):
        stale.open_bank()
    assert stale.searched_by("exact").open_bank().approximate is None


def test_parity_is_with_what_the_index_gave_where_it_was_made(
    bundle: Bundle, make_runtime: Callable[..., Runtime]
) -> None:
    kept = _kept(bundle, COARSE, use=COARSE)
    exact = kept.searched_by("exact")

    def parity(searched: Bundle, expected: Bundle) -> bool:
        inspector = Inspector.of(kept.manifest, make_runtime(), searched.open_bank())
        return measure_parity(inspector, read_golden(expected)).holds

    assert parity(kept, kept)
    assert parity(exact, exact)
    assert not parity(kept, exact), "the index misses rows, and exact frames show it"
    assert not parity(exact, kept)


@pytest.fixture
def milvus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine's own Milvus, Milvus Lite in a directory of the test."""
    pytest.importorskip("milvus_lite", reason="needs pcedge[milvus]")
    from milvus_lite.server_manager import server_manager_instance

    path = str(tmp_path / "milvus.db")
    monkeypatch.setenv("PCEDGE_MILVUS", path)
    yield "milvus"
    server_manager_instance.release_server(path)


def test_a_bank_in_milvus_is_compared_kept_used_and_shared(
    bundle: Bundle, make_bundle: Callable[..., Bundle], tmp_path: Path, milvus: str
) -> None:
    queries = _noise(50, 6)
    expected = bundle.open_bank().search(queries)
    _, found = compare_indexes(bundle, _built(bundle, milvus), golden_frames(bundle))
    assert (found.cost.recall, found.cost.flips, found.file_bytes) == (1.0, 0, 0)

    used = Bundle.open(_kept(bundle, milvus, use=milvus).directory)

    info = used.manifest.indexes[milvus]
    assert (info.factory, info.parameters, info.file) == ("milvus", "", "")
    bank = used.open_bank()
    assert isinstance(bank.approximate, RerankedSearch)
    distances, rows = bank.search(queries)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-5)
    np.testing.assert_array_equal(rows, expected[1])
    assert read_golden(used)[0].stages.rows.tolist() == read_golden(bundle)[0].stages.rows.tolist()
    twin = _kept(make_bundle(tmp_path / "twin"), milvus, use=milvus)
    assert twin.manifest.indexes[milvus].bank_sha256 == info.bank_sha256
    assert len(MilvusAddress.parse("").connect().list_collections()) == 1
    dropped = keep_indexes(used, [], drop=[milvus])
    assert (dropped.manifest.index, dropped.manifest.indexes) == ("exact", {})


def test_a_frame_whose_search_fails_in_milvus_is_invalid(
    bundle: Bundle,
    make_runtime: Callable[..., Runtime],
    milvus: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from milvus_lite.server_manager import server_manager_instance

    kept = _kept(bundle, milvus, use=milvus)
    inspector = Inspector.of(kept.manifest, make_runtime(), kept.open_bank())
    picture = read_golden(bundle)[0].image_rgb
    frame = Frame("camera", 0, "frame-000000", 0.0, picture)
    judge = one_by_one(lambda _: inspector.inspect(picture))
    assert judge([frame])[0].verdict is not Verdict.INVALID

    server_manager_instance.release_server(str(tmp_path / "milvus.db"))

    (inspection,) = judge([frame])
    assert inspection.verdict is Verdict.INVALID
    assert "could not be searched" in inspection.reason
    monkeypatch.setenv("PCEDGE_MILVUS", "http://127.0.0.1:9")
    with pytest.raises(BankServerError, match=r"127\.0\.0\.1:9 could not be opened"):
        kept.open_bank()
