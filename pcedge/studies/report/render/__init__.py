"""The document as values, and how it is typeset: HTML, PDF, drawings, numbers as words."""
