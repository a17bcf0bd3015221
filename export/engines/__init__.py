"""TensorRT engines: built, stored, run."""
