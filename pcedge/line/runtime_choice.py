"""Which runtime a bundle is judged on: one that is proved on this machine, unless that is not wanted."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pcedge.inspection.precision import precision_choice
from pcedge.inspection.runtimes import Candidate, runtime_kind
from pcedge.methods import AnyBundle, ChosenRuntime, method_for

from .config import LineFile

Choose = Callable[[AnyBundle], Candidate]


@dataclass(frozen=True)
class RuntimeOptions:
    """What may run the networks.

    Attributes:
        runtime: ``auto`` for any that runs without PyTorch.
        device: ``auto`` for any.
        precision: ``auto`` for float32 and those that were measured to be as good.
        unverified: Take what can be opened first, without proof that it scores like the reference.
    """

    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    unverified: bool = False

    def over(self, line: LineFile) -> "RuntimeOptions":
        """What the line's file says, where these options say nothing."""
        table = line.watch
        precision = table.precision if self.precision == "auto" else self.precision
        merged = replace(
            self,
            runtime=table.runtime if self.runtime == "auto" else self.runtime,
            device=table.device if self.device == "auto" else self.device,
            precision=precision,
        )
        named = any(is_named(one.threshold, one.review) for one in line.cameras)
        return merged.for_float32_scores() if named else merged

    def for_float32_scores(self) -> "RuntimeOptions":
        """The same where a threshold was named, which is one on the scale of float32's scores."""
        return replace(self, precision="fp32") if self.precision == "auto" else self


def is_named(threshold: float | None, review: float | bool | None) -> bool:
    """Whether a threshold is a number of the user's, not the bundle's own."""
    return threshold is not None or not (review is None or isinstance(review, bool))


def choose_for(bundle: AnyBundle, options: RuntimeOptions) -> ChosenRuntime:
    """Take the fastest runtime that is proved on this machine, or any that opens if proof is not wanted.

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
    """What chooses runtimes by ``choose_for`` and says nothing."""
    wanted = options or RuntimeOptions()
    return lambda bundle: choose_for(bundle, wanted).candidate
