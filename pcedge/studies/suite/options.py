"""Options of an evaluation of categories, and what makes two of them the same."""

from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcedge.bundles.manifest import PATCHCORE
from pcedge.errors import OptionError, WeightsError
from pcedge.fitting.feature_cache import content_digest
from pcedge.fitting.presets import Member
from pcedge.inspection.runtimes import RuntimeKind, runtime_kind

if TYPE_CHECKING:
    from pcedge.evaluation.evaluate import LeakPolicy
    from pcedge.fitting.options import FitOptions

# Names that people type for a runtime because its library has them.
_ALIASES = {"onnxruntime": "onnx", "pytorch": "torch", "trt": "tensorrt"}


@dataclass(frozen=True)
class TrialOptions:
    """How categories are fitted and evaluated.

    Attributes:
        fit: Options of each fit; its ``models`` and ``name`` are not used.
        preset: Name of the preset that these came from; empty for none.
        members: Networks of an ensemble, each fitted in place of the fit's own backbone; empty for none.
        runtimes: What runs the network, the first of them for the metrics of the run.
        leaks: What becomes of test images that were also learned from.
        keep_bundles: Whether the bundles stay, in ``bundles`` beside the runs.
        command: The command line, for the record.
        method: ``patchcore``, or a method that it is compared with.
        settings: That method's own, by name.
        label: What a comparison of methods calls it; empty for none.
    """

    fit: "FitOptions"
    preset: str = ""
    members: tuple[Member, ...] = ()
    runtimes: tuple[RuntimeKind, ...] = ("torch",)
    leaks: "LeakPolicy" = "report"
    keep_bundles: bool = field(default=False, compare=False)
    command: str = field(default="", compare=False)
    method: str = PATCHCORE
    settings: tuple[tuple[str, Any], ...] = ()
    label: str = field(default="", compare=False)


def parse_runtimes(text: str) -> tuple[RuntimeKind, ...]:
    """Runtimes separated by commas, each once: ``torch,onnx``.

    Raises:
        OptionError: One does not exist.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    kinds = dict.fromkeys(runtime_kind(_ALIASES.get(name, name)) for name in names)
    if not kinds or "auto" in kinds:
        raise OptionError(f"{text!r} does not name runtimes to compare.", "Name them: --runtimes torch,onnx")
    return tuple(kinds)


def request_digest(options: TrialOptions, data: str) -> str:
    """Digest of everything that decides a result: what was asked for, the version that does it, and the data.

    Args:
        options: What was asked for.
        data: Digest of the dataset.

    Raises:
        WeightsError: The weights file cannot be read.
    """
    fit = options.fit
    stated: tuple[object, ...] = (
        version("pcedge"),
        options.preset,
        options.members,
        options.runtimes,
        options.leaks,
        fit.layout,
        fit.backbone,
        _weights_digest(fit.weights),
        fit.layers,
        fit.preprocessing,
        fit.embedding,
        str(fit.coreset),
        fit.false_reject_rate,
        fit.review_rate,
        fit.calibration,
        fit.groups,
        fit.finetune,
        fit.neighbours,
        fit.seed,
        fit.device,
        fit.memory_gb,
        data,
    )
    if options.method != PATCHCORE:
        stated = (*stated, options.method, options.settings)
    return blake2b(repr(stated).encode(), digest_size=20).hexdigest()


def _weights_digest(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return content_digest(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}).", "Check the path given to --weights."
        ) from error
