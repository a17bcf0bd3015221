"""What a person sees: heatmaps, banners, reasons, regions."""
