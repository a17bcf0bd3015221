"""PaDiM in PyTorch: network and fitting."""
