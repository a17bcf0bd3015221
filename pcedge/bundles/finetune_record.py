"""What a bundle says of the fine-tuning that its weights come from."""

import msgspec


class FeatureChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a layer's features of held-out nominal images changed.

    Attributes:
        cka: Linear CKA of before and after (Kornblith et al. 2019); 1 for none but turned and scaled.
        cosine: Mean cosine between a patch's features before and after.
        rank_before: Effective rank (Roy & Vetterli 2007): among how many directions the features spread.
        rank_after: The same afterwards; where it falls, features collapse.
    """

    cka: float
    cosine: float
    rank_before: float
    rank_after: float


class FinetuneEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement after an epoch, on held-out nominal images alone.

    Attributes:
        epoch: Its number; 0 is the one in which only the task's head learns, the backbone as it began.
        loss: Mean training loss of the epoch.
        held_out_loss: The loss on held-out images.
        accuracy: Share of them on which the task is solved.
        separation: How often a synthetic fault on a held-out image scores above such images without one:
            AUROC of image scores.
        gain: By how much the separation exceeds that before the tuning.
        gain_error: Standard error of the gain.
        cka: The least linear CKA of any layer with what it was before.
    """

    epoch: int
    loss: float
    held_out_loss: float
    accuracy: float
    separation: float
    gain: float
    gain_error: float
    cka: float


class FinetuneRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How the weights of a backbone came from others by fine-tuning on nominal images.

    Attributes:
        method: ``rotation`` or ``cutmix``.
        weights: Where the weights began, for people.
        weights_sha256: Digest of these weights.
        stages: Modules whose weights were trained.
        learning_rate: Of the backbone.
        pull: How strongly weights were drawn back.
        epochs: At most so many.
        seed: Of everything random.
        images: Nominal images trained on.
        held_out: Nominal images that only measured.
        chance: Accuracy of guessing at the task.
        kept: The epoch whose weights were kept; 0 for those of the beginning, since none was clearly better.
        reason: Why that one, as a sentence.
        notes: What was noticed of the task, as sentences.
        history: The measurements, epoch by epoch.
        features: By layer, how the kept weights' features differ from the first ones.
        seconds: How long it took.
    """

    method: str
    weights: str
    weights_sha256: str
    stages: tuple[str, ...]
    learning_rate: float
    pull: float
    epochs: int
    seed: int
    images: int
    held_out: int
    chance: float
    kept: int
    reason: str
    notes: tuple[str, ...]
    history: tuple[FinetuneEpoch, ...]
    features: dict[str, FeatureChange]
    seconds: float
