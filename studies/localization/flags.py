"""Flags of the published artifact for this study, and the settings that each stands for."""

from studies.base import Flag

FLAGS = {
    "n-rays": Flag(("study.parameters.n_rays={value}",)),
    "n-particles": Flag(("study.parameters.n_particles={value}",)),
    "n-particles-big-grid": Flag(("study.parameters.n_particles_big_grid={value}",)),
    "k-rejuv": Flag(("study.parameters.n_moves={value}",)),
    "n-steps": Flag(("study.parameters.n_steps={value}",)),
    # The published seed makes the data too.
    "seed": Flag(("seed={value}", "study.parameters.data_seed={value}")),
    "world-type": Flag(("study.parameters.world_type={value}",)),
    "timing-repeats": Flag(("timing.min_rounds={value}", "timing.max_rounds={value}")),
    "include-smc-comparison": Flag(("figures=[problem,comprehensive]",)),
}

WORDS: dict[str, tuple[str, ...]] = {"paper": ()}
"""Subcommands of the artifact, and the settings that each stands for."""
