"""Gen.jl, the dynamic modelling language, in a Julia process of its own that speaks the worker protocol.

Nothing of Julia is loaded here: this file only describes the worker `julia/worker.jl`, which reads the models in
`studies/<study>/models/genjl.jl` and takes both of Gen's languages by the name of the framework.

It computes in float64 whatever `dtype` says, as Gen's own distributions do; the notes of its rows say so. Julia makes
`julia/Manifest.toml` when it installs Gen.jl. That file holds Gen's version and so counts among the sources: cells that
were measured by the run that installed Gen.jl are measured once more.
"""

from typing import ClassVar

from frameworks.base import Framework


class GenJl(Framework):
    """Description of the Julia worker for dynamic generative functions, `@gen function`."""

    name = "genjl"
    label = "Gen.jl"
    spellings: ClassVar[tuple[str, ...]] = ("genjl_dynamic", "genjl-dynamic", "gen.jl")
    color = "#00008B"
    devices = ("cpu",)
    command = ("julia", "--startup-file=no", "--threads=1", "--project=julia", "julia/worker.jl")
    version_command = ("julia", "--version")
    model_path = "studies/{study}/models/genjl.jl"
    sources = ("julia/*.jl", "julia/*.toml")
    not_reported = {"acceptance_probability": "Gen.hmc tells whether a step was accepted, not with what probability"}
    start_seconds = 1800.0  # the first start downloads and compiles Gen.jl: minutes, or more on a slow machine
