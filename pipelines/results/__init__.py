"""What is stored, with its provenance, and how it is read, compared and exported."""
