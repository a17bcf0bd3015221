"""An adversarially trained encoder, decoder and second encoder, after GANomaly.

Akcay, Atapour-Abarghouei, Breckon: "GANomaly: Semi-Supervised Anomaly Detection via Adversarial Training",
2018, arXiv 1805.06725.
"""

from .method import METHOD, Gan
from .settings import GanSettings

__all__ = ["METHOD", "Gan", "GanSettings"]
