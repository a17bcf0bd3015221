"""Drawing of results: heatmaps, regions, explanations and verdict banners."""
