"""From configuration to figures: plan, workers, gate, interleaved timing, store, render, report."""
