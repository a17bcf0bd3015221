"""Part rules, which combine verdicts on frames to decisions on parts, and triggers."""
