"""Which runtime a bundle is judged on: one that is proved on this machine, unless that is not wanted."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from pcedge.errors import BundleError
from pcedge.inspection.precision import one_precision, precision_choice
from pcedge.inspection.runtimes import Candidate, runtime_kind
from pcedge.inspection.verification.verify import Skipped, choose_runtime, first_that_opens
from pcedge.methods import BaselineBundle, choose_baseline_runtime
from pcedge.methods.any_bundle import AnyBundle

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

    def over(self, line: LineFile, typed: Collection[str] = ()) -> "RuntimeOptions":
        """What the line's file says, where these options say nothing.

        Args:
            line: The file.
            typed: Names of options that hold even if they are ``auto``: the user typed them.
        """
        told = {name for name in ("runtime", "device", "precision") if getattr(self, name) != "auto"}
        open_names = {"runtime", "device", "precision"} - told - set(typed)
        merged = replace(self, **{name: getattr(line.watch, name) for name in open_names})
        named = any(is_named(one.threshold, one.review) for one in line.cameras)
        return merged.for_float32_scores() if named else merged

    def for_float32_scores(self) -> "RuntimeOptions":
        """The same where a threshold was named, which is one on the scale of float32's scores."""
        return replace(self, precision="fp32") if self.precision == "auto" else self


@dataclass(frozen=True)
class ChosenRuntime:
    """The runtime that was chosen for a bundle, and why.

    Attributes:
        candidate: Runtime, device and precision.
        name: The same for people.
        proof: How it was proved and why it was taken; empty if it was not proved.
        skipped: Runtimes that were tried without success before one that is not proved.
        unsaved: Why the proof could not be kept, if it could not.
    """

    candidate: Candidate
    name: str
    proof: str = ""
    skipped: tuple[Skipped, ...] = ()
    unsaved: BundleError | None = None


def is_named(threshold: float | None, review: float | bool | None) -> bool:
    """Whether a threshold is a number of the user's, not the bundle's own."""
    return threshold is not None or not (review is None or isinstance(review, bool))


def choose_for(bundle: AnyBundle, options: RuntimeOptions) -> ChosenRuntime:
    """Take the fastest runtime that is proved on this machine, or any that opens if proof is not wanted.

    Raises:
        ExportError: None scores like the reference.
        PcedgeError: None can be opened, or a file of the bundle is missing or changed.
    """
    kind, precision = runtime_kind(options.runtime), precision_choice(options.precision)
    if isinstance(bundle, BaselineBundle):
        return _choose_for_baseline(bundle, options)
    if options.unverified:
        candidate, skipped = first_that_opens(bundle, kind, options.device, precision)
        return ChosenRuntime(candidate, str(candidate), skipped=tuple(skipped))
    choice = choose_runtime(bundle, kind, options.device, precision)
    return ChosenRuntime(choice.candidate, choice.certificate.called, choice.reason, unsaved=choice.unsaved)


def proved(options: RuntimeOptions | None = None) -> Choose:
    """What chooses runtimes by ``choose_for`` and says nothing."""
    wanted = options or RuntimeOptions()
    return lambda bundle: choose_for(bundle, wanted).candidate


def _choose_for_baseline(bundle: BaselineBundle, options: RuntimeOptions) -> ChosenRuntime:
    """A baseline is proved on its golden frames at every start; that leaves no certificate."""
    if options.precision not in ("auto", "all"):
        bundle.in_precision(one_precision(options.precision))
    candidate = choose_baseline_runtime(
        bundle, runtime_kind(options.runtime), options.device, verified=not options.unverified
    )
    proof = "" if options.unverified else "verified on the golden frames"
    return ChosenRuntime(candidate, str(candidate), proof)
