"""The record of the fine-tuning behind a bundle's weights."""

import msgspec


class FeatureChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a layer's features of held-out nominal images changed.

    Attributes:
        cka: Linear CKA of before and after (Kornblith et al. 2019); 1 if only rotated and scaled.
        cosine: Mean cosine between a patch's features before and after.
        rank_before: Effective rank of the features before (Roy & Vetterli 2007).
        rank_after: Effective rank afterwards; a lower value means that features collapse.
    """

    cka: float
    cosine: float
    rank_before: float
    rank_after: float


class FinetuneEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements after one epoch, on held-out nominal images only.

    Attributes:
        epoch: Index of the epoch; in epoch 0 only the task's head is trained and the backbone is unchanged.
        loss: Mean training loss of the epoch.
        held_out_loss: The loss on held-out images.
        accuracy: Share of held-out images on which the task is solved.
        separation: AUROC of image scores, held-out images with a synthetic fault against those without.
        gain: Increase of the separation over its value before the tuning.
        gain_error: Standard error of the gain.
        cka: The smallest linear CKA of any layer with its features before.
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
    """How a backbone's weights were fine-tuned on nominal images.

    Attributes:
        method: ``rotation`` or ``cutmix``.
        weights: Description of the initial weights.
        weights_sha256: Digest of the initial weights.
        stages: Modules whose weights were trained.
        learning_rate: Learning rate of the backbone.
        pull: Strength of the regularisation towards the initial weights.
        epochs: Maximum number of epochs.
        seed: Random seed.
        images: Number of nominal images used for training.
        held_out: Number of nominal images used only for measuring.
        chance: Accuracy of random guessing at the task.
        kept: The epoch whose weights were kept; 0 for the initial weights, if none was clearly better.
        reason: Why that epoch, as a sentence.
        notes: Remarks on the task, as sentences.
        history: The measurements of each epoch.
        features: By layer, how the features of the kept weights differ from the initial ones.
        seconds: Duration in seconds.
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
