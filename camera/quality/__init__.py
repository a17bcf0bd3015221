"""Image quality: the frame gate, its limits, and how they are learned."""
