"""What can run a bundle's embedder: one file a kind of runtime."""
