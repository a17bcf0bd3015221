"""The sections of a report: each turns runs into a part of the document."""
