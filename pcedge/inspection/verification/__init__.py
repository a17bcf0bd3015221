"""Verification that this machine scores like the float32 reference, stage by stage."""
