"""For tests, ours and those of plug-ins: a small checkout (`toy`), and faults to inject into a run."""
