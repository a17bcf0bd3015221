"""ONNX files: writing, reading, checks, and the nearest-neighbour search as a graph."""
