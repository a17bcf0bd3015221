"""Choice of precisions: which ones a bundle has, and which are as good as float32."""

from typing import Literal, cast, get_args

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import EXACT, INT8, INT8_TRT, Manifest, Precision, PrecisionInfo
from pcedge.errors import OptionError

PrecisionChoice = Literal["auto", "all", "fp32", "fp16", "int8", "int8-trt"]
# Half a point of AUROC: a precision that loses more is used only when named explicitly.
MAX_LOSS = 0.005
# Rounding error of a difference of two AUROCs.
_ROUNDING = 1e-9


def precision_choice(name: str) -> PrecisionChoice:
    """Check and return a precision given by the user."""
    if name in get_args(PrecisionChoice):
        return cast(PrecisionChoice, name)
    raise OptionError(
        f"There is no precision {name!r}.", f"Choose one of: {', '.join(get_args(PrecisionChoice))}."
    )


def one_precision(name: str) -> Precision:
    """Check and return a single precision given by the user."""
    if name in get_args(Precision):
        return cast(Precision, name)
    raise OptionError(f"There is no precision {name!r}.", f"Choose one of: {', '.join(get_args(Precision))}.")


def precisions_for(bundle: Bundle, choice: PrecisionChoice) -> list[Precision]:
    """The precisions of a bundle that a choice selects, float32 first.

    ``int8`` stands for both of its kinds where a bundle has both: each is for runtimes of its own.
    """
    if choice == "all":
        return bundle.precisions
    if choice == "int8":
        return [one for one in bundle.precisions if one in ("int8", INT8_TRT)] or [choice]
    if choice != "auto":
        return [choice]
    return [one for one in bundle.precisions if not objection(bundle.manifest, one)]


def objection(manifest: Manifest, precision: Precision) -> str:
    """Why a precision is used only when named explicitly; empty if ``auto`` may choose it.

    By default accuracy must not drop: a precision is eligible only if labelled images showed that it is as
    good.
    """
    if precision == manifest.precision:
        return ""
    if manifest.index not in (EXACT, INT8):
        return f"keeps no index {manifest.index}"
    found, own = manifest.precisions.get(precision), manifest.precisions.get(manifest.precision)
    if found is None or own is None or found.image_auroc is None:
        return "not measured: the images had no labels"
    for what, lost in losses(own, found).items():
        if lost > MAX_LOSS + _ROUNDING:
            return f"loses {100 * lost:.1f} points of {what} AUROC"
    return ""


def losses(own: PrecisionInfo, other: PrecisionInfo) -> dict[str, float]:
    """Losses of AUROC of another precision, for the AUROCs that both have."""
    pairs = {
        "image": (own.image_auroc, other.image_auroc),
        "pixel": (own.pixel_auroc, other.pixel_auroc),
    }
    return {name: a - b for name, (a, b) in pairs.items() if a is not None and b is not None}
