"""Several products at one station: shared networks, banks loaded ahead, fast switching.

Bundles with the same embedder share one network, so switching the product only swaps a bank and a threshold.
"""

from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock, RLock
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import ProductManifest
from pcedge.bundles.product import check_same_product
from pcedge.errors import OptionError
from pcedge.export import OnnxRuntime, Runtime
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import Candidate, RuntimeKind
from pcedge.methods import AnyBundle, open_network

from .inspector_pool import Assignment, InspectorPool
from .runtime_choice import Choose, RuntimeOptions, proved
from .shared_networks import LoadedBundle, OpenNetwork

DEFAULT_MEMORY_GB = 2.0


class Products(InspectorPool):
    """Inspectors of several products, loaded ahead and switched in microseconds; thread-safe.

    A returned inspector works until the pool is closed, even if its product is dropped meanwhile. A bundle is
    verified on this machine before its inspector is returned. As an ``InspectorPool`` it also judges the
    frames of cameras, on the same networks.

    Args:
        bundles: Directories by product name.
        cameras: Assignments of cameras, for ``inspect``.
        runtime: Runtime of the networks.
        device: Device of the networks.
        memory_gb: Maximum memory of all loaded banks; beyond it the least recently used products are dropped.
            The current product is always kept.
        unverified: Use the first runtime that opens, without verification.
        choose: Function that chooses the runtime of a bundle, instead of the three above.
        open_network: Function that opens a bundle's network.
    """

    def __init__(
        self,
        bundles: Mapping[str, Path],
        cameras: Mapping[str, Assignment] | None = None,
        *,
        runtime: RuntimeKind = "auto",
        device: str = "auto",
        memory_gb: float = DEFAULT_MEMORY_GB,
        unverified: bool = False,
        choose: Choose | None = None,
        open_network: OpenNetwork = open_network,
    ) -> None:
        # Any switch may pass a threshold, and thresholds are on the scale of float32 scores.
        options = RuntimeOptions(runtime, device, "fp32", unverified)

        def open_for_threads(bundle: AnyBundle, chosen: Candidate) -> Runtime:
            opened = open_network(bundle, chosen)
            return opened if isinstance(opened, OnnxRuntime) else _OneAtATime(opened)

        super().__init__(cameras or {}, choose or proved(options), open_network=open_for_threads)
        self._directories = dict(bundles)
        self._memory_bytes = int(memory_gb * 1e9)
        self._loader = ThreadPoolExecutor(1, "products")
        self._products_lock = RLock()
        # Least recently used first, including products that are still loading.
        self._loaded: OrderedDict[str, Future[LoadedBundle]] = OrderedDict()
        self._first: dict[str, ProductManifest] = {}
        self._current: str | None = None
        self._closed = False

    @property
    def names(self) -> list[str]:
        """Names of all products."""
        return list(self._directories)

    @property
    def loaded(self) -> list[str]:
        """Products whose banks are loaded, the least recently used first."""
        with self._products_lock:
            return list(self._ready())

    @property
    def nbytes(self) -> int:
        """Memory of the loaded banks in bytes."""
        with self._products_lock:
            return sum(_bank(product).nbytes for product in self._ready().values())

    def load(self, *names: str) -> None:
        """Start loading products in the background; errors are raised by ``switch``.

        Raises:
            OptionError: There is no such product, or the pool is closed.
        """
        for name in names:
            self._begin(name, use=False)

    def switch(self, name: str, *, threshold: float | None = None) -> Inspector:
        """The inspector of a product; waits until it is loaded.

        Args:
            name: The product.
            threshold: Used instead of the bundle's own.

        Raises:
            OptionError: There is no such product, or the pool is closed.
            BundleError: A file of its bundle is missing or changed, or it is another product's now.
            ExportError: No runtime is proved to score like the reference.
            PcedgeError: Its network cannot be run here.
        """
        loading = self._begin(name, use=True)
        try:
            product = loading.result()
        except CancelledError:
            raise _closed() from None
        except BaseException:
            with self._products_lock:  # so that it can be retried
                if self._loaded.get(name) is loading:
                    del self._loaded[name]
            raise
        own = _inspector(product)
        return Inspector.of(
            cast(Bundle, product.bundle).manifest,
            own.runtime,
            own.bank,
            threshold=threshold,
            pictures=own.explainer.pictures,
        )

    def drop(self, name: str) -> None:
        """Unload a product's bank; the next ``switch`` reads it again, as after a new fit."""
        with self._products_lock:
            self._loaded.pop(name, None)

    def close(self) -> None:
        """Release all networks; returned inspectors cannot be used afterwards."""
        with self._products_lock:
            if self._closed:
                return
            self._closed = True
        self._loader.shutdown(cancel_futures=True)
        with self._products_lock:
            self._loaded.clear()
        self._networks.close_unused()

    def __enter__(self) -> "Products":
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, name: str, *, use: bool) -> "Future[LoadedBundle]":
        with self._products_lock:
            if self._closed:
                raise _closed()
            directory = self._directories.get(name)
            if directory is None:
                raise OptionError(
                    f"There is no product {name!r}.", f"There are: {', '.join(self._directories) or 'none'}."
                )
            if use:
                self._current = name
            loading = self._loaded.get(name)
            if loading is None:
                loading = self._loaded[name] = self._loader.submit(self._read, name, directory)
                loading.add_done_callback(lambda _: self._drop_beyond_memory())
            self._loaded.move_to_end(name)
            return loading

    def _read(self, name: str, directory: Path) -> LoadedBundle:
        bundle = Bundle.open(directory)
        check_same_product(directory, self._first.setdefault(name, bundle.manifest), bundle.manifest)
        return self._networks.load(bundle)

    def _close_unused(self) -> None:
        """Do nothing: returned inspectors work until the pool is closed."""

    def _ready(self) -> dict[str, LoadedBundle]:
        return {
            name: one.result()
            for name, one in self._loaded.items()
            if one.done() and not one.cancelled() and one.exception() is None
        }

    def _drop_beyond_memory(self) -> None:
        with self._products_lock:
            taken = self.nbytes
            for name, product in self._ready().items():
                if taken > self._memory_bytes and name != self._current:
                    del self._loaded[name]
                    taken -= _bank(product).nbytes


class _OneAtATime:
    """Makes a runtime whose calls must not overlap, such as a TensorRT context, thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self._runtime.name

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            return self._runtime.infer(images)

    def __enter__(self) -> "_OneAtATime":
        self._runtime.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.__exit__(None, None, None)


def _inspector(product: LoadedBundle) -> Inspector:
    return cast(Inspector, product.inspector)  # products are PatchCore's: Bundle.open refuses others


def _bank(product: LoadedBundle) -> Bank:
    return _inspector(product).bank


def _closed() -> OptionError:
    return OptionError("The products were closed.", "Open them again.")
