"""Which epoch's weights are kept, when to stop, and how both are explained."""

from pcedge.bundles.finetune_record import FinetuneEpoch

# Standard errors by which the separation must have grown: otherwise it may be chance, and the start is kept.
CLEARLY = 2.0
# Features that are less like the first ones than this have lost what their pretraining gave them.
LEAST_CKA = 0.9
_SOLVED = 0.98
_TASKS = {"rotation": "how held-out images were turned", "cutmix": "which held-out places are the same"}


class EpochChoice:
    """Follows the measurements of a fine-tuning.

    Args:
        method: ``rotation`` or ``cutmix``.
        chance: Accuracy of guessing.
        answers: How many answers the accuracy is a share of.
        patience: Epochs without a better separation after which to stop.

    Attributes:
        history: The measurements so far.
        kept: The epoch whose weights are the ones to keep, as far as is known; 0 for those of the beginning.
    """

    def __init__(self, method: str, chance: float, answers: int, patience: int) -> None:
        self._task = _TASKS[method]
        self._turns = method == "rotation"
        self._chance = chance
        self._guessing = chance + CLEARLY * float(chance * (1 - chance) / answers) ** 0.5
        self._patience = patience
        self.history: list[FinetuneEpoch] = []
        self.kept = 0

    def see(self, measured: FinetuneEpoch) -> bool:
        """Take the measurement of the next epoch into account; return whether to go on after it."""
        self.history.append(measured)
        if measured.epoch == 0:
            return True
        if measured.cka < LEAST_CKA:
            return False
        if self._to_be_kept(measured):
            self.kept = measured.epoch
        highest = max(self.history, key=lambda one: one.separation)
        return measured.epoch - highest.epoch < self._patience

    @property
    def reason(self) -> str:
        """Why that epoch, as a sentence without its full stop."""
        tried = self.history[1:]
        if not tried:
            return "the time was over before an epoch could begin; the weights it began with are kept"
        best = self.history[self.kept] if self.kept else max(tried, key=lambda one: one.gain)
        change = f"{best.gain:+.4f} AUROC (standard error {best.gain_error:.4f})"
        if self.kept:
            return f"epoch {self.kept} is kept: synthetic faults on held-out good images separate by {change}"
        why = "is not clearly better"
        if _clearly_better(best):
            drifted = best.cka < LEAST_CKA
            why = "came with features that drifted away" if drifted else "came from a task that was guessed"
        return (
            f"the separation of synthetic faults on held-out good images changes by {change} at best, which "
            f"{why}; the weights it began with are kept"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the task, as sentences."""
        first, last = self.history[0], self.history[-1]
        notes = []
        if first.accuracy >= _SOLVED:
            notes.append(
                f"The task is trivial for these images: from the features as they were, a linear or small "
                f"head recognises {self._task} in {first.accuracy:.0%} of cases. "
                "There is little to learn from it."
            )
        elif last.accuracy <= self._guessing:
            alike = " Parts that look the same however they are turned have no turn to recognise."
            notes.append(
                f"The task cannot be learned from these images: {self._task} is recognised in "
                f"{last.accuracy:.0%} of cases, and guessing gives {self._chance:.0%}."
                + (alike if self._turns else "")
            )
        if last.cka < LEAST_CKA:
            notes.append(
                f"The features drifted away (CKA {last.cka:.3f} with what they were, less than {LEAST_CKA}), "
                "and the tuning was stopped: try a lower learning rate."
            )
        return tuple(notes)

    def _to_be_kept(self, measured: FinetuneEpoch) -> bool:
        better = measured.separation > self.history[self.kept].separation
        return better and _clearly_better(measured) and measured.accuracy > self._guessing


def _clearly_better(measured: FinetuneEpoch) -> bool:
    return measured.gain > CLEARLY * measured.gain_error
