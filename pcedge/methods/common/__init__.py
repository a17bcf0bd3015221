"""What the methods beside PatchCore share: their bundle, its golden frames, how they are fitted and run."""
