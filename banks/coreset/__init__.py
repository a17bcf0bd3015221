"""Which patches to keep: greedy minimax facility location (paper, Algorithm 1)."""
