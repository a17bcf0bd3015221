"""The methods of a comparison: their names and their settings, from a file."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from pcedge.banks import CoresetSize
from pcedge.bundles.manifest import PATCHCORE, EmbeddingKind
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.scoring import check_neighbours
from pcedge.errors import OptionError
from pcedge.fitting.options import FitOptions
from pcedge.methods import find_method
from pcedge.networks.finetuning.options import FinetuneMethod, FinetuneOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

METHODS_FILE = Path(__file__).with_name("methods.toml")
# A name becomes part of the name of a directory.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


class MethodSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file says of one method; None and empty for what the command says. See ``methods.toml``."""

    about: str = ""
    method: str = PATCHCORE
    backbone: str | None = None
    layers: tuple[str, ...] = ()
    image_size: int | None = None
    embedding: EmbeddingKind | None = None
    coreset: str | None = None
    neighbours: int | None = None
    finetune: FinetuneMethod | None = None
    settings: dict[str, Any] = {}


@dataclass(frozen=True)
class MethodSpec:
    """One method of a comparison.

    Attributes:
        name: As ``--methods`` names it.
        own: The settings in which it differs from the others.
    """

    name: str
    own: MethodSettings

    def options(self, base: FitOptions, weights: dict[str, Path]) -> FitOptions:
        """Options of its fit.

        Args:
            base: What all methods have in common.
            weights: Files of weights by backbone.

        Raises:
            OptionError: A value makes no sense.
        """
        own = self.own
        backbone = own.backbone or base.backbone
        own_network = own.backbone is not None and own.backbone != base.backbone
        # A preset's layers and embedding are those of its own network, for a memory bank.
        has_bank = find_method(own.method).has_bank
        keep = not own_network and has_bank
        chosen = replace(
            base,
            backbone=backbone,
            weights=weights.get(backbone) if backbone else None,
            layers=own.layers or (base.layers if keep else ()),
            embedding=own.embedding or (base.embedding if keep else None),
        )
        if own.image_size is not None:
            chosen = replace(chosen, preprocessing=Preprocessing(image_size=own.image_size))
        if own.coreset is not None:
            chosen = replace(chosen, coreset=CoresetSize.parse(own.coreset))
        if own.neighbours is not None:
            chosen = replace(chosen, neighbours=check_neighbours(own.neighbours))
        if own.finetune is not None:
            chosen = replace(chosen, finetune=FinetuneOptions(own.finetune))
        return chosen if has_bank else replace(chosen, neighbours=1)


def read_methods(path: Path | None = None) -> dict[str, MethodSettings]:
    """The methods that a file names; None for pcedge's own.

    Raises:
        OptionError: It cannot be read, or a method in it makes no sense.
    """
    path = path or METHODS_FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        methods = msgspec.convert(tables, dict[str, MethodSettings])
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}.", "Check --methods-file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise OptionError(
            f"{path} does not say what methods there are: {error}.", f"Look at how {METHODS_FILE} does it."
        ) from error
    wrong = [name for name in methods if not _NAME.fullmatch(name)]
    if wrong:
        raise OptionError(
            f"{path}: a method cannot be named {wrong[0]!r}.", "Use letters, digits, plus, minus and dots."
        )
    return methods


def choose_methods(names: Iterable[str], known: dict[str, MethodSettings]) -> list[MethodSpec]:
    """The named methods, each once, in that order.

    Raises:
        OptionError: None is named, or one is not known.
    """
    chosen = list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        what = f"There is no method {unknown[0]!r}." if unknown else "No method is named."
        raise OptionError(what, f"There are: {', '.join(known)}. Others: --methods-file.")
    return [MethodSpec(name, known[name]) for name in chosen]
