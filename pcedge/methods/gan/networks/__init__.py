"""The GAN in PyTorch."""
