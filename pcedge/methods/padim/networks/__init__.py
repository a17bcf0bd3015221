"""PaDiM in PyTorch: its network, and how it is fitted."""
