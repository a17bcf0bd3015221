"""Every graph that export writes, parsed and built by NVIDIA's TensorRT for RTX; needs no GPU."""
