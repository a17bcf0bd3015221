"""Parsing of ``--weights BACKBONE=FILE``."""

from collections.abc import Collection
from pathlib import Path

from pcedge.errors import OptionError


def weights_by_backbone(given: list[str]) -> dict[str, Path]:
    """Backbone to file, from ``resnet18=weights/resnet18.pth``.

    Raises:
        OptionError: One does not have that form, or its file does not exist.
    """
    pairs = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not equals or not Path(path).is_file():
            raise OptionError(
                f"--weights {one} does not name a backbone and a file that is there.",
                "Write it like this: --weights resnet18=weights/resnet18.pth",
            )
        pairs[name] = Path(path)
    return pairs


def check_all_used(files: Collection[str], backbones: Collection[str]) -> None:
    """Check that all weights are for backbones in use.

    Raises:
        OptionError: A file would be ignored.
    """
    unused = sorted(name for name in files if name not in backbones)
    if unused:
        raise OptionError(
            f"--weights {unused[0]}=... has no effect: {unused[0]} is not among the backbones.",
            f"Add it to --backbone, or leave it out. Backbones here: {', '.join(backbones) or 'none'}.",
        )
