"""TensorRT engines: building, files and runtimes."""
