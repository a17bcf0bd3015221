"""Points for the discussion, each by a fixed, stated rule."""
