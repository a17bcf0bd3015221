"""The production line that ships with the product: rendered parts, good and defective."""
