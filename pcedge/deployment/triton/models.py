"""A bundle as three models of the Triton Inference Server: their configurations, and the proof of them.

The embedder, the search with the product's bank inside, and, under the product's name, the two one after the
other: from an image to score, distances and rows in one call.
"""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import ExportError
from pcedge.export import (
    ROWS,
    SCORE,
    SQUARED_DISTANCES,
    OnnxRuntime,
    Platform,
    Step,
    Tensor,
    ensemble_config,
    model_config,
    open_session,
)
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.verification.golden import read_golden
from pcedge.inspection.verification.parity import Parity, measure_parity

# Under which clients find the metadata in the model's configuration.
PARAMETER = "pcedge"
_IMAGES, _EMBEDDINGS = "images", "embeddings"


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a client must know: how an image is preprocessed, and what the answer means.

    Attributes:
        product: Name of the bundle.
        preprocessing: How an image becomes the network's input.
        grid_hw: Grid of patches that ``squared_distances`` and ``rows`` are on, in row-major order.
        threshold: Scores above it are NG; one that is not a finite number is INVALID.
        map_threshold: Values of the anomaly map above it are to be coloured.
        map_sigma: Of the Gaussian that smooths the map, in pixels of the network's input.
        fitted: When the bundle was.
    """

    product: str
    preprocessing: Preprocessing
    grid_hw: tuple[int, int]
    threshold: float
    map_threshold: float
    map_sigma: float
    fitted: str

    @classmethod
    def of(cls, bundle: Bundle) -> "Metadata":
        """Read it from a bundle's manifest."""
        manifest = bundle.manifest
        return cls(
            product=manifest.name,
            preprocessing=manifest.preprocessing,
            grid_hw=manifest.embedding.grid_hw,
            threshold=manifest.threshold.score,
            map_threshold=manifest.threshold.map,
            map_sigma=manifest.map.sigma,
            fitted=manifest.created,
        )


class ProductModels(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a product's models; the embedder may be that of others too.

    Attributes:
        embedder: Images to embeddings.
        search: Embeddings to score, distances and rows.
        batch: Most images a call.
    """

    embedder: str
    search: str
    batch: int


def triton_configs(
    bundle: Bundle, models: ProductModels, platform: Platform, embedder_batch: int
) -> dict[str, str]:
    """Configurations (``config.pbtxt``) of a product's models, by name.

    Args:
        bundle: Of the product.
        models: Their names.
        platform: What runs the embedder.
        embedder_batch: Most images a call of the embedder, which the products that share it agree on.
    """
    manifest = bundle.manifest
    size, (height, width) = manifest.preprocessing.input_size, manifest.embedding.grid_hw
    patches = height * width
    images = Tensor(_IMAGES, (3, size, size))
    embeddings = Tensor(_EMBEDDINGS, (patches, manifest.embedding.dims))
    distances, rows = Tensor(SQUARED_DISTANCES, (patches,)), Tensor(ROWS, (patches,), "TYPE_INT64")
    found = (Tensor(SCORE, (1,)), distances, rows)
    steps = (
        Step(models.embedder, (_IMAGES,), (_EMBEDDINGS,)),
        Step(models.search, (_EMBEDDINGS,), (SCORE, SQUARED_DISTANCES, ROWS)),
    )
    return {
        models.embedder: model_config(
            models.embedder, platform, [images], [embeddings], max_batch=embedder_batch
        ),
        models.search: model_config(
            models.search, "onnxruntime_onnx", [embeddings], found, max_batch=models.batch
        ),
        manifest.name: ensemble_config(
            manifest.name,
            [images],
            found,
            steps,
            max_batch=models.batch,
            parameters={PARAMETER: msgspec.json.encode(Metadata.of(bundle)).decode()},
        ),
    }


def prove_models(bundle: Bundle, search: Path) -> Parity:
    """Run the golden frames through the embedder and the search, as Triton will, here on the processor.

    Raises:
        ExportError: They differ from the reference.
    """
    opened = bundle.open_bank()
    bank = Bank.build(opened.rows, opened.sources)  # searched exactly, as the model does it
    with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as embedder, _Served(embedder, search) as served:
        inspector = Inspector.of(bundle.manifest, served, bank)
        parity = measure_parity(inspector, read_golden(bundle))
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} do not score like the reference on the golden frames: {parity.failure()}.",
            "Nothing was written. Another version of ONNX Runtime may do better.",
        )
    return parity


class _Served:
    """The models one after the other; as ``SearchingRuntime`` and, with the bank in it, ``BoundBank``."""

    name = "the Triton models (CPU)"

    def __init__(self, embedder: OnnxRuntime, search: Path) -> None:
        self._embedder = embedder
        self._session = open_session(search, str(search), "cpu")

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._embedder.infer(images)

    def bind(self, bank_rows: NDArray[np.float32]) -> "_Served":
        return self

    def infer_nearest(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        distances, rows = self._session.run([SQUARED_DISTANCES, ROWS], {_EMBEDDINGS: self.infer(images)})
        return distances, rows

    def __enter__(self) -> "_Served":
        return self

    def __exit__(self, *_: object) -> None:
        del self._session
