"""What every layout comes down to: good images to learn from and labelled images to test on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pcedge.core.text import shown
from pcedge.errors import DatasetError

from .left_out import LeftOut
from .masks import MaskReading, decide
from .names import product_folder

GOOD = "good"
AUPRO_LIMIT = 0.3


@dataclass(frozen=True)
class Sample:
    """A test image.

    Attributes:
        path: The image file.
        kind: ``good``, or the kind of defect.
        masks: Its ground-truth mask files; what any of them marks is defect. Empty where there is none.
    """

    path: Path
    kind: str
    masks: tuple[Path, ...] = ()

    @property
    def is_defect(self) -> bool:
        """Whether the image shows a defect."""
        return self.kind != GOOD

    @property
    def mask(self) -> Path | None:
        """The first mask file, or None where there is none."""
        return self.masks[0] if self.masks else None


@dataclass(frozen=True)
class Dataset:
    """Images of one product.

    Attributes:
        root: The folder.
        train: Nominal images to fit on.
        test: Labelled images to evaluate on; empty for a plain folder of good images.
        validation: Further good images that the dataset sets aside; neither fit nor evaluation uses them.
        unlabelled: Images whose labels the dataset's makers keep to themselves; they are only counted.
        stray_masks: Masks that belong to no image.
        layout: Name of the layout it was read by.
        aupro_limit: Largest false-positive rate of the AUPRO that this dataset's authors use.
        any_mask_value: Whether every mask value but 0 is defect. Otherwise grey values between 0 and 255 are
            a mask's soft edge, unless it never reaches 255.
        left_out: What else is in its folder, by reason.
    """

    root: Path
    train: tuple[Path, ...]
    test: tuple[Sample, ...]
    validation: tuple[Path, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    stray_masks: tuple[Path, ...] = ()
    layout: str = "plain"
    aupro_limit: float = AUPRO_LIMIT
    any_mask_value: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def masks(self) -> MaskReading:
        """How its masks are read, decided from all of them when it is first asked for."""
        pairs = [(sample.path, mask) for sample in self.test if sample.is_defect for mask in sample.masks]
        good = [sample.path for sample in self.test if not sample.is_defect]
        return decide(pairs, (*good, *self.train), any_value=self.any_mask_value)

    @property
    def used(self) -> tuple[Path, ...]:
        """Every file that has a place in it: images, masks, and masks that belong to no image."""
        masks = (mask for sample in self.test for mask in sample.masks)
        tested = (sample.path for sample in self.test)
        return (*self.train, *tested, *masks, *self.validation, *self.unlabelled, *self.stray_masks)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return shown(self.root.resolve().name)

    @property
    def product(self) -> str:
        """The name of the folder that the product has to itself: that of ``bottle/good`` is ``bottle``."""
        return shown(product_folder(self.root).name)

    @property
    def title(self) -> str:
        """The folder's name and its parent's, such as ``mvtec/bottle``."""
        return shown("/".join(self.root.resolve().parts[-2:]).lstrip("/"))

    def relative(self, path: Path) -> str:
        """A file's name within the dataset, as text that can be shown and stored anywhere.

        What a terminal would act on and bytes that are not UTF-8 are in visible form: see
        :func:`pcedge.core.text.shown`.
        """
        return shown(path.relative_to(self.root).as_posix())


def training_images(dataset: Dataset, *, at_least: int) -> tuple[Path, ...]:
    """The good images to fit on.

    Raises:
        DatasetError: There are fewer than ``at_least``.
    """
    if len(dataset.train) < at_least:
        raise DatasetError(
            f"{dataset.root} has {len(dataset.train)} good images to fit on; at least {at_least} are needed.",
            f"{_left_out(dataset)}Put good images into the folder itself or into its train/good.",
        )
    return dataset.train


def labelled_images(dataset: Dataset) -> tuple[Sample, ...]:
    """The images to evaluate on.

    Raises:
        DatasetError: There are none.
    """
    if not dataset.test:
        raise DatasetError(
            f"{dataset.root} has no test images.",
            f"{_left_out(dataset)}Evaluation needs test/good and test/<kind of defect> in the folder, or "
            "good and bad.",
        )
    return dataset.test


def _left_out(dataset: Dataset) -> str:
    """What is there and not used, as a sentence; empty if everything is."""
    said = ", ".join(map(str, dataset.left_out[:3]))
    return f"Not used of what is there: {said}. " if said else ""
