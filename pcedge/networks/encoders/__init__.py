"""Image encoders of other pretraining as backbones: CLIP (through open_clip) and DINOv2 (through timm)."""

from .catalogue import ENCODERS, Encoder

__all__ = ["ENCODERS", "Encoder"]
