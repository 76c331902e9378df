"""The stages of a run, in their order."""

STAGES = ("plan", "run", "figures", "export", "report")
