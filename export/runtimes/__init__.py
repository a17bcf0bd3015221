"""Runtimes with a common protocol: PyTorch and ONNX Runtime."""
