"""Choice of a bundle's runtime: one that is proved on this machine, unless unverified is requested."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from pcedge.inspection.precision import precision_choice
from pcedge.inspection.runtimes import Candidate, runtime_kind
from pcedge.methods import AnyBundle, ChosenRuntime, method_for

from .config import LineFile

Choose = Callable[[AnyBundle], Candidate]


@dataclass(frozen=True)
class RuntimeOptions:
    """Options that restrict the choice of a runtime.

    Attributes:
        runtime: ``auto`` for any runtime without PyTorch.
        device: ``auto`` for any device.
        precision: ``auto`` for float32 and those that were measured to be as good.
        unverified: Use the first runtime that opens, without verification.
    """

    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    unverified: bool = False

    def over(self, line: LineFile, typed: Collection[str] = ()) -> "RuntimeOptions":
        """These options, with values from the line's file for those that are not set.

        Args:
            line: The line's file.
            typed: Names of options given on the command line, which take precedence even if ``auto``.
        """
        told = {name for name in ("runtime", "device", "precision") if getattr(self, name) != "auto"}
        open_names = {"runtime", "device", "precision"} - told - set(typed)
        merged = replace(self, **{name: getattr(line.watch, name) for name in open_names})
        named = any(is_named(one.threshold, one.review) for one in line.cameras)
        return merged.for_float32_scores() if named else merged

    def for_float32_scores(self) -> "RuntimeOptions":
        """The same options for a given threshold, which is on the scale of float32 scores."""
        return replace(self, precision="fp32") if self.precision == "auto" else self


def is_named(threshold: float | None, review: float | bool | None) -> bool:
    """Whether the user gave a threshold as a number."""
    return threshold is not None or not (review is None or isinstance(review, bool))


def choose_for(bundle: AnyBundle, options: RuntimeOptions) -> ChosenRuntime:
    """Choose the fastest runtime that is proved on this machine, or the first that opens if unverified.

    Raises:
        ExportError: None scores like the reference.
        PcedgeError: None can be opened, or a file of the bundle is missing or changed.
    """
    return method_for(bundle).choose_runtime(
        bundle,
        runtime_kind(options.runtime),
        options.device,
        precision_choice(options.precision),
        verified=not options.unverified,
    )


def proved(options: RuntimeOptions | None = None) -> Choose:
    """A function that chooses runtimes by ``choose_for``, without output."""
    wanted = options or RuntimeOptions()
    return lambda bundle: choose_for(bundle, wanted).candidate
