"""The report as one static page: claims, figures, every row with its provenance, and what is missing."""
