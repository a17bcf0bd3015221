"""A convolutional autoencoder with structural similarity, after Bergmann et al.

Bergmann, Löwe, Fauser, Sattlegger, Steger: "Improving Unsupervised Defect Segmentation by Applying Structural
Similarity to Autoencoders", 2018, arXiv 1807.02011.
"""

from .method import METHOD, Autoencoder
from .settings import AeSettings

__all__ = ["METHOD", "AeSettings", "Autoencoder"]
