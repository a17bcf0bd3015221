"""Synthetic camera: a production line with rendered good and defective parts."""
