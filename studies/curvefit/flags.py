"""Flags of the published artifact for this study, and the settings that each stands for."""

from studies.base import Flag

FLAGS = {
    "scaling-max-samples": Flag(("study.scaling.max_particles={value}",)),
    "scaling-trials": Flag(("study.scaling.n_trials={value}",)),
    "scaling-max-large-trials": Flag(("study.scaling.n_large_trials={value}",)),
    "scaling-particle-counts": Flag(("study.scaling.particle_counts={value}",), many=True),
    # The published flag times five times as many calls.
    "scaling-extended-timing": Flag(("study.scaling.budget_share=1.0", "timing.interval_width=0.02")),
}

WORDS: dict[str, tuple[str, ...]] = {"paper": ()}
"""Subcommands of the artifact, and the settings that each stands for."""
