"""Fine-tuning a backbone on nominal images, carefully: few epochs, late stages, and only if it helps.

What it can be told is in ``finetune_options``, what it reports in ``pcedge.bundles.finetune_record``.
"""
