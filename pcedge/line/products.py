"""Several products at one station: one loaded network for all whose embedder is the same, banks at hand.

A network belongs to no product. Bundles with the same embedder share one runtime, and changing the product
swaps a bank and a threshold.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.manifest import Manifest
from pcedge.bundles.nominal_images import KeptPictures
from pcedge.errors import OptionError
from pcedge.export import OnnxRuntime, Runtime
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.region_explanation import open_pictures
from pcedge.inspection.runtimes import RuntimeKind, open_runtime

OpenRuntime = Callable[[Bundle, RuntimeKind, str], Runtime]
DEFAULT_MEMORY_GB = 2.0


@dataclass(frozen=True)
class _SharedNetwork:
    """What makes two networks the same: weights, what is taken from them, and the exported file."""

    weights_sha256: str
    layers: tuple[str, ...]
    embedding: str
    input_size: int
    exported_sha256: str

    @classmethod
    def of(cls, manifest: Manifest) -> "_SharedNetwork":
        return cls(
            manifest.backbone.weights_sha256,
            manifest.backbone.layers,
            manifest.embedding.kind,
            manifest.preprocessing.input_size,
            exported.sha256 if (exported := manifest.files.get(EMBEDDER_FILE)) else "",
        )


@dataclass(frozen=True, eq=False)
class _Product:
    bundle: Bundle
    bank: Bank
    runtime: Runtime
    pictures: KeptPictures | None


class Products:
    """Inspectors of several products, loaded ahead and changed in microseconds; safe for several threads.

    An inspector that was handed out works until the pool is closed, whatever is loaded or dropped meanwhile.
    Whether a runtime is proved to score like the reference is for the caller to ask, bundle by bundle
    (``choose_runtime``): the pool opens what it is told to.

    Args:
        bundles: Directories by product name.
        runtime: What runs the networks.
        device: Where.
        memory_gb: Banks at hand may take so much together; beyond that the products used longest ago are
            dropped. The one switched to last is kept, whatever it takes.
        open_runtime: How a bundle's network is opened.
    """

    def __init__(
        self,
        bundles: Mapping[str, Path],
        *,
        runtime: RuntimeKind = "auto",
        device: str = "auto",
        memory_gb: float = DEFAULT_MEMORY_GB,
        open_runtime: OpenRuntime = open_runtime,
    ) -> None:
        self._directories = dict(bundles)
        self._kind, self._device, self._open_runtime = runtime, device, open_runtime
        self._memory_bytes = int(memory_gb * 1e9)
        self._loader = ThreadPoolExecutor(1, "products")
        self._networks: dict[_SharedNetwork, Runtime] = {}
        self._open = ExitStack()
        self._lock = RLock()
        # By time of last use, the oldest first; those that are still being loaded among them.
        self._loaded: OrderedDict[str, Future[_Product]] = OrderedDict()
        self._current: str | None = None
        self._closed = False

    @property
    def names(self) -> list[str]:
        """Every product there is."""
        return list(self._directories)

    @property
    def loaded(self) -> list[str]:
        """Products whose banks are at hand, the one used longest ago first."""
        with self._lock:
            return list(self._ready())

    @property
    def nbytes(self) -> int:
        """Memory that the banks at hand take."""
        with self._lock:
            return sum(product.bank.nbytes for product in self._ready().values())

    def load(self, *names: str) -> None:
        """Begin to load products in the background; what goes wrong is raised by ``switch``.

        Raises:
            OptionError: There is no such product, or the pool is closed.
        """
        for name in names:
            self._begin(name, use=False)

    def switch(self, name: str, *, threshold: float | None = None) -> Inspector:
        """An inspector of a product: at once if it is loaded, otherwise as soon as it is.

        Args:
            name: The product.
            threshold: Used instead of the bundle's own.

        Raises:
            OptionError: There is no such product, or the pool is closed.
            BundleError: A file of its bundle is missing or changed.
            PcedgeError: Its network cannot be run here.
        """
        loading = self._begin(name, use=True)
        try:
            product = loading.result()
        except CancelledError:
            raise _closed() from None
        except BaseException:
            with self._lock:  # so that it can be tried again
                if self._loaded.get(name) is loading:
                    del self._loaded[name]
            raise
        return Inspector.of(
            product.bundle.manifest,
            product.runtime,
            product.bank,
            threshold=threshold,
            pictures=product.pictures,
        )

    def drop(self, name: str) -> None:
        """Forget a product's bank; the next ``switch`` reads it anew, as after a new fit."""
        with self._lock:
            self._loaded.pop(name, None)

    def close(self) -> None:
        """Release every network, once; inspectors that were handed out are of no use afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._loader.shutdown(cancel_futures=True)
        with self._lock:
            self._loaded.clear()
            self._networks.clear()
            self._open.close()

    def __enter__(self) -> "Products":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, name: str, *, use: bool) -> "Future[_Product]":
        with self._lock:
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
                loading = self._loaded[name] = self._loader.submit(self._load, directory)
                loading.add_done_callback(lambda _: self._drop_beyond_memory())
            self._loaded.move_to_end(name)
            return loading

    def _load(self, directory: Path) -> _Product:
        bundle = Bundle.open(directory)
        bank = bundle.open_bank()
        bank.prepare()
        return _Product(bundle, bank, self._network(bundle), open_pictures(bundle))

    def _network(self, bundle: Bundle) -> Runtime:
        """The runtime of a bundle's network, opened unless it is; only the loader asks."""
        key = _SharedNetwork.of(bundle.manifest)
        if key not in self._networks:
            opened = self._open.enter_context(self._open_runtime(bundle, self._kind, self._device))
            self._networks[key] = opened if isinstance(opened, OnnxRuntime) else _OneAtATime(opened)
        return self._networks[key]

    def _ready(self) -> dict[str, _Product]:
        return {
            name: one.result()
            for name, one in self._loaded.items()
            if one.done() and not one.cancelled() and one.exception() is None
        }

    def _drop_beyond_memory(self) -> None:
        with self._lock:
            taken = self.nbytes
            for name, product in self._ready().items():
                if taken > self._memory_bytes and name != self._current:
                    del self._loaded[name]
                    taken -= product.bank.nbytes


class _OneAtATime:
    """A runtime whose own calls may not overlap, such as a TensorRT context, for several threads."""

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
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing: whoever opened the runtime closes it."""


def _closed() -> OptionError:
    return OptionError("The products were closed.", "Open them again.")
