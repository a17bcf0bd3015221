"""Made-up pictures to learn from: fields, materials, shapes, faults, whole scenes."""
