"""Rules for options of a fit that have no effect with others."""

from collections.abc import Mapping
from typing import Any

from .given import Unused

_HOW_TO_FINETUNE = ("finetune_epochs", "finetune_lr", "finetune_stages", "finetune_minutes")
_PATCHCORE_ONLY = (
    *("embedding", "like", "coreset", "neighbours", "calibration", "groups", "pictures_mb"),
    *("finetune", *_HOW_TO_FINETUNE),
)


def _is_other_method(given: Mapping[str, Any]) -> bool:
    from pcedge.methods import find_method

    return not find_method(given["method"]).has_bank


def has_backbone(method: str) -> bool:
    """Whether a method uses a pretrained network; others train one of their own on the good images."""
    from pcedge.methods import find_method

    return find_method(method).has_backbone


FIT_UNUSED = (
    Unused(
        _is_other_method,
        _PATCHCORE_ONLY,
        "with --method {method}: it belongs to patchcore",
        "Leave it out. Settings of this method: --set NAME=VALUE",
    ),
    Unused(
        lambda given: not has_backbone(given["method"]),
        ("backbone", "weights", "layers", "cache_gb"),
        "with --method {method}, which trains a network of its own",
        "Leave it out. Settings of this method: --set NAME=VALUE",
    ),
    Unused(
        lambda given: not _is_other_method(given),
        ("settings",),
        "on patchcore",
        "Name another method with --method: it belongs to padim, spade, ae and gan.",
    ),
    Unused(
        lambda given: bool(given["like"]),
        ("backbone", "weights", "layers", "embedding", "preset", "image_size", "crop"),
        "beside --like, which takes the network and the preprocessing of another bundle as they are",
        "Leave out one of them.",
    ),
    Unused(
        lambda given: given["finetune"] is None,
        _HOW_TO_FINETUNE,
        "without --finetune",
        "Add --finetune rotation or cutmix.",
    ),
)
