"""Flags of the published artifact for this study, and the settings that each stands for."""

from studies.base import Flag

FLAGS = {
    "mode": Flag(
        choices={
            "showcase": ("figures=[showcase,timing]",),
            "timing": ("figures=[timing]",),
            "all": ("figures=[showcase,timing,accuracy,animation]",),
            "cpu": ("device=cpu",),
            "cuda": ("device=cuda",),
        }
    ),
    "chain-length": Flag(("study.parameters.n_sweeps={value}",)),
    "flip-prob": Flag(("study.parameters.softness={value}",)),
    "grid-sizes": Flag(("study.tasks.sweeps.grid.height={value}",), many=True),
    "timing-repeats": Flag(("timing.min_rounds={value}", "timing.max_rounds={value}")),
    "device": Flag(choices={"cpu": ("device=cpu",), "gpu": ("device=cuda",), "cuda": ("device=cuda",)}),
    "target": Flag(("study.parameters.target={value}",)),
}
