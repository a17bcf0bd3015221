"""Model repositories of the Triton Inference Server."""
