"""The public datasets whose layouts are known: what they are, their licences, where they are obtained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownDataset:
    """A public dataset; nothing of it comes with pcedge.

    Attributes:
        name: Its own name.
        layout: Name of its layout, as ``--layout`` takes it.
        size: Images and products.
        licence: As its authors state it, or that they state none.
        homepage: The authors' page, where it is obtained.
        paper: Authors, title, where published, and DOI or arXiv number.
        note: What to know before using it.
    """

    name: str
    layout: str
    size: str
    licence: str
    homepage: str
    paper: str
    note: str = ""


_NON_COMMERCIAL = "CC BY-NC-SA 4.0 (not for commercial use)"

CATALOGUE = (
    KnownDataset(
        name="MVTec AD",
        layout="mvtec-ad",
        size="5,354 images of 15 products",
        licence=_NON_COMMERCIAL,
        homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad",
        paper="Bergmann, Batzner, Fauser, Sattlegger, Steger: The MVTec Anomaly Detection Dataset. IJCV 129, "
        "2021. doi:10.1007/s11263-020-01400-4",
    ),
    KnownDataset(
        name="MVTec LOCO AD",
        layout="mvtec-loco",
        size="3,644 images of 5 products",
        licence=_NON_COMMERCIAL,
        homepage="https://www.mvtec.com/company/research/datasets/mvtec-loco",
        paper="Bergmann, Batzner, Fauser, Sattlegger, Steger: Beyond Dents and Scratches: Logical "
        "Constraints in Unsupervised Anomaly Detection and Localization. IJCV 130, 2022. "
        "doi:10.1007/s11263-022-01578-9",
        note="Its authors measure sPRO, which saturates; pcedge measures AUPRO, to the same limit of 0.05.",
    ),
    KnownDataset(
        name="MVTec AD 2",
        layout="mvtec-ad2",
        size="8,004 images of 8 products",
        licence=_NON_COMMERCIAL,
        homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad-2",
        paper="Heckler-Kram, Neudeck, Scheler, König, Steger: The MVTec AD 2 Dataset: Advanced Scenarios for "
        "Unsupervised Anomaly Detection. 2025. arXiv:2503.21622",
        note="Only test_public has labels; the private test sets are judged by the authors' server.",
    ),
    KnownDataset(
        name="VisA",
        layout="visa",
        size="10,821 images of 12 products",
        licence="CC BY 4.0",
        homepage="https://github.com/amazon-science/spot-diff",
        paper="Zou, Jeong, Pemula, Zhang, Dabeer: SPot-the-Difference Self-Supervised Pre-training for "
        "Anomaly Detection and Segmentation. ECCV 2022. arXiv:2207.14315",
        note="Keep split_csv beside the products. --layout visa:NAME takes another split than 1cls.",
    ),
    KnownDataset(
        name="BTAD",
        layout="btad",
        size="2,830 images of 3 products",
        licence="CC BY-NC-SA 4.0 as others state it; ask the authors before relying on it",
        homepage="https://github.com/pankajmishra000/VT-ADL",
        paper="Mishra, Verk, Fornasier, Piciarelli, Foresti: VT-ADL: A Vision Transformer Network for Image "
        "Anomaly Detection and Localization. ISIE 2021. doi:10.1109/ISIE45552.2021.9576231",
    ),
)
