"""Reconstruction in PyTorch: training, and the detector that results."""
