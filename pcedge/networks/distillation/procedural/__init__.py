"""Made-up images to learn from: fields, materials, shapes, faults, whole scenes."""
