"""Coreset selection by greedy minimax facility location (paper, Algorithm 1)."""
