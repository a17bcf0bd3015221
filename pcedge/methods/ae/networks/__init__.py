"""The autoencoder in PyTorch."""
