"""From verdicts on frames to decisions on parts, and what announces a part."""
