"""Flags of the published artifact for this study, and the settings that each stands for."""

from studies.base import Flag

FLAGS = {
    "combined": Flag(("figures=[combined]",)),
    "posterior": Flag(("figures=[posterior]",)),
    "all": Flag(("figures=[combined,posterior,timing]",)),
    "num-obs": Flag(("study.parameters.n_observations={value}",)),
    "num-samples": Flag(("study.parameters.n_particles={value}",)),
    "repeats": Flag(("timing.min_rounds={value}", "timing.max_rounds={value}")),
}
