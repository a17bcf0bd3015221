"""From an image to a verdict: the detector, the runtimes that carry it, the reasons it gives."""
