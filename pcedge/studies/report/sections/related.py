"""Related work, and what is published."""

from collections.abc import Iterator

from ..render.document import Block, Heading, Items, Span, Table, paragraph

REFERENCES = (
    (
        "Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler. Towards Total Recall in Industrial Anomaly "
        "Detection. CVPR 2022. ",
        "https://arxiv.org/abs/2106.08265",
    ),
    ("PatchCore, the official implementation. ", "https://github.com/amazon-science/patchcore-inspection"),
    (
        "Cohen, Hoshen. Sub-Image Anomaly Detection with Deep Pyramid Correspondences (SPADE). 2020. ",
        "https://arxiv.org/abs/2005.02357",
    ),
    (
        "Defard, Setkov, Loesch, Audigier. PaDiM: a Patch Distribution Modeling Framework for Anomaly "
        "Detection and Localization. ICPR workshops 2021. ",
        "https://arxiv.org/abs/2011.08785",
    ),
    (
        "Bergmann, Fauser, Sattlegger, Steger. MVTec AD, a Comprehensive Real-World Dataset for "
        "Unsupervised Anomaly Detection. CVPR 2019. ",
        "https://www.mvtec.com/company/research/datasets/mvtec-ad",
    ),
    (
        "Schlegl, Seeböck, Waldstein, Schmidt-Erfurth, Langs. Unsupervised Anomaly Detection with "
        "Generative Adversarial Networks to Guide Marker Discovery (AnoGAN). IPMI 2017. ",
        "https://arxiv.org/abs/1703.05921",
    ),
    (
        "Bergmann, Löwe, Fauser, Sattlegger, Steger. Improving Unsupervised Defect Segmentation by Applying "
        "Structural Similarity to Autoencoders. VISAPP 2019. ",
        "https://arxiv.org/abs/1807.02011",
    ),
    (
        "Vovk. Cross-conformal predictors. Annals of Mathematics and Artificial Intelligence, 2015. ",
        "https://arxiv.org/abs/1208.0806",
    ),
)


def related_work() -> Iterator[Block]:
    """A paragraph on each family of methods, with the numbers that the PatchCore paper gives."""
    yield Heading("Related work")
    yield paragraph(
        "Two families learn what good looks like from good images alone. *Reconstruction:* autoencoders [7] "
        "and generative adversarial networks such as AnoGAN [6] are trained to reproduce good images, and "
        "what they fail to reproduce is taken for a defect; they must be trained for each product, and "
        "often reproduce defects too. *Comparison of features:* a network trained on ordinary photographs "
        "describes every patch, and patches are compared with those of good images. SPADE [3] looks for the "
        "nearest whole images first and then compares pixel by pixel; PaDiM [4] fits a Gaussian to every "
        "position, which assumes aligned parts; PatchCore [1] compares every patch with patches from "
        "anywhere in all good images, and keeps the search affordable by choosing few of them, spread so "
        "that all the others are near one. It is trained on nothing, and its memory can be read back: every "
        "score has a nearest good patch."
    )
    yield Table(
        "Published means over the 15 categories of MVTec AD, in percent, as the PatchCore paper [1] gives "
        "them",
        ("method", "image AUROC", "pixel AUROC", "PRO"),
        (
            ("SPADE", "85.5", "96.0", "91.7"),
            ("PaDiM (range of its variants)", "95.3 to 97.9", "97.5", "92.1"),
            ("PatchCore, 25 % of the patches", "99.1", "98.1", "93.4"),
            ("PatchCore, 10 %", "99.0", "98.1", "93.5"),
            ("PatchCore, 1 %", "99.0", "98.0", "93.1"),
        ),
    )


def references() -> Iterator[Block]:
    """The list."""
    yield Heading("References")
    yield Items(
        tuple(
            (Span(f"[{number}] {text}"), Span(address, "link"))
            for number, (text, address) in enumerate(REFERENCES, 1)
        ),
        small=True,
    )
