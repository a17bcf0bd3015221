"""Is a frame fit to be judged? Its limits, and how they are learned."""
