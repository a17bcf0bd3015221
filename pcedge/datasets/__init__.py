"""Datasets on disk: which images are good, which are for testing, where their masks are, and what is wrong.

A layout is recognised by looking; each has a module of its own::

    from pcedge.datasets import audit, categories, open_dataset

    for name in categories(Path("mvtec")):
        dataset = open_dataset(Path("mvtec") / name)
        print(name, len(dataset.train), audit(dataset).trustworthy)
"""

from .catalogue import CATALOGUE, KnownDataset
from .checks import Audit, Contradiction, Copies, Leak, audit, find_copies, find_leaks, find_shared
from .dataset import GOOD, Dataset, Sample, labelled_images, training_images
from .layouts.base import Layout, images_below
from .left_out import LeftOut, find_left_out
from .likeness import alike, far_nearer, nearest_others, spectrum
from .names import product_folder
from .reading import read_content, read_ground_truth
from .recognition import LAYOUTS, categories, open_dataset, recognise

__all__ = [
    "CATALOGUE",
    "GOOD",
    "LAYOUTS",
    "Audit",
    "Contradiction",
    "Copies",
    "Dataset",
    "KnownDataset",
    "Layout",
    "Leak",
    "LeftOut",
    "Sample",
    "alike",
    "audit",
    "categories",
    "far_nearer",
    "find_copies",
    "find_leaks",
    "find_left_out",
    "find_shared",
    "images_below",
    "labelled_images",
    "nearest_others",
    "open_dataset",
    "product_folder",
    "read_content",
    "read_ground_truth",
    "recognise",
    "spectrum",
    "training_images",
]
