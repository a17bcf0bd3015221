"""Several products at one station: one network opened once, banks at hand, dropped and loaded again."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge import Products
from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle, seal
from pcedge.errors import BundleError, OptionError
from pcedge.export import Runtime
from pcedge.inspection.runtimes import Candidate
from pcedge.methods import AnyBundle

NAMES = ("a", "b", "c")


def _onnx(_bundle: AnyBundle) -> Candidate:
    return Candidate("onnx", "cpu")


def _with_network(bundle: Bundle, network: bytes = b"blocks") -> None:
    """Let a bundle list an exported network, which the opener does not read."""
    (bundle.directory / EMBEDDER_FILE).write_bytes(network)
    seal(bundle.directory, bundle.manifest)


class Opener:
    """Opens runtimes that know whether they were closed and how many calls they are in."""

    def __init__(self, make: Callable[..., Runtime]) -> None:
        self.opened: list[_Watched] = []
        self._make = make

    def __call__(self, bundle: AnyBundle, chosen: Candidate) -> Runtime:
        self.opened.append(_Watched(self._make()))
        return self.opened[-1]


class _Watched:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.closed, self.inside, self.most = 0, 0, 0

    @property
    def name(self) -> str:
        return self._runtime.name

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        found = self._runtime.infer(images)
        self.inside -= 1
        return found

    def __enter__(self) -> "_Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1


@pytest.fixture
def opener(make_runtime: Callable[..., Runtime]) -> Opener:
    return Opener(make_runtime)


@pytest.fixture
def bundles(make_bundle: Callable[..., Bundle], tmp_path: Path) -> dict[str, Path]:
    for name in NAMES:
        _with_network(make_bundle(tmp_path / name, name=name))
    return {name: tmp_path / name for name in NAMES}


@pytest.fixture
def products(bundles: dict[str, Path], opener: Opener) -> Iterator[Products]:
    with Products(bundles, choose=_onnx, open_network=opener) as opened:
        yield opened


def test_products_with_the_same_embedder_share_one_runtime(products: Products, opener: Opener) -> None:
    inspectors = [products.switch(name) for name in (*NAMES, *NAMES)]

    assert len(opener.opened) == 1
    assert len({id(inspector.runtime) for inspector in inspectors}) == 1
    assert [inspectors[place].bank is inspectors[place + 3].bank for place in range(3)] == [True] * 3
    assert products.loaded == list(NAMES)


def test_another_embedder_is_a_runtime_of_its_own(
    products: Products, opener: Opener, make_bundle: Callable[..., Bundle], bundles: dict[str, Path]
) -> None:
    _with_network(make_bundle(bundles["b"]), b"other blocks")

    assert products.switch("a").runtime is products.switch("c").runtime
    assert products.switch("b").runtime is not products.switch("a").runtime
    assert len(opener.opened) == 2


def test_every_runtime_is_closed_once(bundles: dict[str, Path], opener: Opener) -> None:
    products = Products(bundles, choose=_onnx, open_network=opener)
    for name in NAMES:
        products.switch(name)

    products.close()
    products.close()

    assert [runtime.closed for runtime in opener.opened] == [1]
    for call in (products.switch, products.load):
        with pytest.raises(OptionError, match="closed"):
            call("a")


def test_what_is_loaded_ahead_is_at_hand(products: Products) -> None:
    products.load("b", "c")

    inspector = products.switch("c")

    assert products.loaded == ["b", "c"]  # one loader, in the order of asking
    assert inspector.bank is products.switch("c").bank


def test_a_threshold_can_be_another_for_one_inspector(products: Products) -> None:
    assert products.switch("a", threshold=0.25).threshold == 0.25
    assert products.switch("a").threshold == 0.5


def test_beyond_the_memory_the_product_used_longest_ago_is_dropped(
    bundles: dict[str, Path], opener: Opener, pictures: list[NDArray[np.uint8]]
) -> None:
    with Products(bundles, choose=_onnx, open_network=opener) as unlimited:
        unlimited.switch("a")
        each = unlimited.nbytes
    with Products(bundles, choose=_onnx, open_network=opener, memory_gb=2.5 * each / 1e9) as products:
        first = products.switch("a")
        for name in ("b", "a", "c"):
            products.switch(name)

        assert products.loaded == ["a", "c"]
        assert products.nbytes == 2 * each
        products.switch("b")
        assert products.loaded == ["c", "b"]
        assert first.inspect(pictures[0]).verdict, "what was handed out goes on working"


def test_the_product_in_use_is_kept_whatever_it_takes(bundles: dict[str, Path], opener: Opener) -> None:
    with Products(bundles, choose=_onnx, open_network=opener, memory_gb=0) as products:
        products.switch("a")
        products.load("b")
        products.switch("a")

        assert products.loaded in (["a"], ["b", "a"])  # b may just have come
        assert "a" in products.loaded


def test_a_product_that_was_dropped_is_read_anew(
    products: Products, make_bundle: Callable[..., Bundle], bundles: dict[str, Path]
) -> None:
    before = products.switch("a")
    _with_network(make_bundle(bundles["a"]))
    assert products.switch("a").bank is before.bank

    products.drop("a")

    assert products.switch("a").bank is not before.bank


def test_a_product_that_is_not_there_is_named_with_those_that_are(products: Products) -> None:
    for call in (products.switch, products.load):
        with pytest.raises(OptionError, match="no product 'd'") as caught:
            call("d")
        assert "a, b, c" in caught.value.hint


def test_a_damaged_bundle_is_an_error_when_it_is_used_and_can_be_mended(
    products: Products, bundles: dict[str, Path]
) -> None:
    path = bundles["b"] / "bank.faiss"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    products.load("b", "c")

    with pytest.raises(BundleError, match=r"bank\.faiss"):
        products.switch("b")
    assert products.switch("c").bank is not None
    path.write_bytes(content)

    assert products.switch("b").bank is not None


def test_many_threads_change_products_at_once(
    bundles: dict[str, Path], opener: Opener, pictures: list[NDArray[np.uint8]]
) -> None:
    """Runtimes that may not be called twice at a time are not, and every score is that of its product."""
    expected = {}
    with Products(bundles, choose=_onnx, open_network=opener) as products:
        for name in NAMES:
            expected[name] = products.switch(name).inspect(pictures[-1]).score
    start = threading.Barrier(6)
    with Products(bundles, choose=_onnx, open_network=opener, memory_gb=1e-6) as products:

        def work(seed: int) -> bool:
            start.wait()
            names = np.random.default_rng(seed).choice(NAMES, 15)
            return all(products.switch(n).inspect(pictures[-1]).score == expected[n] for n in names)

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(work, range(6)))

    assert len(opener.opened) == 2
    assert opener.opened[1].most == 1


def test_a_bundle_that_became_another_products_is_not_switched_to(
    make_bundle: Callable[..., Bundle], make_runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    def of(product: str, **changes: Any) -> Path:
        bundle = make_bundle(tmp_path / "a", product=product, **changes)
        _with_network(bundle)
        return bundle.directory

    with Products({"a": of("a")}, choose=_onnx, open_network=Opener(make_runtime)) as products:
        products.switch("a")
        of("a", images=9)
        products.drop("a")
        products.switch("a")  # fitted again
        of("b", dataset="lines/screw")
        products.drop("a")

        with pytest.raises(BundleError, match="another product"):
            products.switch("a")
