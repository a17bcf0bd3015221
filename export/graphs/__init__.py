"""ONNX files: written, read, checked, extended by the search."""
