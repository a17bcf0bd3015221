"""TensorRT for RTX: engines built ahead of time, on any workstation, for named compute capabilities."""
