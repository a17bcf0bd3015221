"""The bundle: one directory a product, every file checked against its manifest."""
