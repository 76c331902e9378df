"""Flags of the published artifact for this study, and the settings that each stands for."""

from studies.base import Flag

IMPORTANCE = (
    "importance_sampling",
    "importance_sweep",
    "importance_sampling_all_cores",
    "importance_sweep_all_cores",
)
HMC = ("hmc", "hmc_chains", "hmc_chains_all_cores")


def _repeats(task: str) -> tuple[str, str]:
    return tuple(f"study.tasks.{task}.timing.{name}={{value}}" for name in ("min_rounds", "max_rounds"))  # type: ignore[return-value]


def _of_tasks(tasks: tuple[str, ...], setting: str) -> tuple[str, ...]:
    return tuple(f"study.tasks.{task}.{setting}" for task in tasks)


SKIP_IMPORTANCE, SKIP_HMC = _of_tasks(IMPORTANCE, "skip=true"), _of_tasks(HMC, "skip=true")

FLAGS = {
    "inference": Flag(
        choices={
            "all": (),
            "is": (f"tasks=[{','.join(IMPORTANCE)}]", "figures=[importance,sweep,cores]"),
            "hmc": (f"tasks=[{','.join(HMC)}]", "figures=[hmc,effective,cores]"),
        }
    ),
    "framework": Flag(("frameworks=[{value}]",)),
    "is-frameworks": Flag(_of_tasks(IMPORTANCE, "frameworks={value}"), many=True),
    "hmc-frameworks": Flag(_of_tasks(HMC, "frameworks={value}"), many=True),
    "particles": Flag(("study.tasks.importance_sampling.grid.n_particles={value}",), many=True),
    "is-repeats": Flag(_repeats("importance_sampling")),
    "is-inner-repeats": Flag(("study.tasks.importance_sampling.timing.calls={value}",)),
    "hmc-chain-lengths": Flag(("study.tasks.hmc.grid.n_samples={value}",), many=True),
    "hmc-repeats": Flag(_repeats("hmc")),
    "repeats": Flag((*_repeats("importance_sampling"), *_repeats("hmc"))),
    "inner-repeats": Flag(
        ("study.tasks.importance_sampling.timing.calls={value}", "study.tasks.hmc.timing.calls={value}")
    ),
    "hmc-warmup": Flag(("study.parameters.n_warmup={value}",)),
    "hmc-step-size": Flag(("study.parameters.step_size={value}",)),
    "hmc-n-leapfrog": Flag(("study.parameters.n_leapfrog={value}",)),
    "data-n-points": Flag(("study.parameters.n_points={value}",)),
    "data-seed": Flag(("study.parameters.data_seed={value}",)),
    "data-output": Flag(("results={value}",)),
    # Of the subcommands: where `combine` reads, and how many points `generate-data` makes.
    "n-points": Flag(("study.parameters.n_points={value}",)),
    "data-dir": Flag(("results={value}",)),
    "fig-prefix": Flag(("study.prefix={value}",)),
    "export-dest": Flag(("figs={value}",)),
    # The data are made from their seed in each run, in moments: there is no stage of theirs to leave out.
    "skip-generate": Flag(),
    "skip-is": Flag(SKIP_IMPORTANCE),
    "skip-hmc": Flag(SKIP_HMC),
    "skip-plots": Flag(("skip.figures=true",)),
    "skip-export": Flag(("skip.export=true",)),
    "stages": Flag(
        many=True,
        absent={
            "generate": (),
            "is": SKIP_IMPORTANCE,
            "hmc": SKIP_HMC,
            "plots": ("skip.figures=true",),
            "export": ("skip.export=true",),
        },
    ),
}

WORDS: dict[str, tuple[str, ...]] = {
    "pipeline": (),
    "run": (),
    "combine": ("stages=[figures,export,report]",),
    "export": ("stages=[figures,export,report]",),
    "genjl-hmc": ("frameworks=[genjl,genjl_static]", "tasks=[hmc]", "figures=[hmc]"),
}
"""Subcommands of the artifact, and the settings that each stands for."""
