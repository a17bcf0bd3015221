"""SPADE in PyTorch: network and fitting."""
