"""What runs a network: PyTorch and ONNX Runtime, with one set of verbs."""
