"""Fine-tuning a backbone on nominal images, carefully: few epochs, late stages, and only if it helps.

What it can be told is in ``pcedge.finetune_options``, what it reports in ``pcedge.finetune_record``.
"""

from .finetune import Finetuned, finetune

__all__ = ["Finetuned", "finetune"]
