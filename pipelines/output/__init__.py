"""Figures, summaries, the paper's claims, and the report."""
