"""Fitting PatchCore: from a folder of good images to a bundle."""
