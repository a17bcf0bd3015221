"""Fine-tuning a backbone on nominal images, carefully: few epochs, late stages, and only if it helps.

Its options are in ``finetune_options``, its report in ``pcedge.bundles.finetune_record``.
"""
