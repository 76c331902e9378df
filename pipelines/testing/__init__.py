"""Faults to inject into a run, for our tests and for those of plug-ins."""
