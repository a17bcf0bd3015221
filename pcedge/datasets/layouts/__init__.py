"""How the folders of datasets are arranged: one file a layout."""
