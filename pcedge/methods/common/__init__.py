"""Shared by the methods other than PatchCore: bundle, golden frames, fitting, inspector."""
