"""The published artifact's documented flags, and our short options, as overrides. Data, one table per study.

A flag is written `--num-obs 50`, `--num-obs=50` or, as an option, `num_obs=50`; each stands for the overrides in its
entry. `{value}` is the flag's value; a flag with several values (`--particles 1000 5000`) takes them as a list.
"""

from dataclasses import dataclass

from pipelines.errors import unknown


@dataclass(frozen=True)
class Flag:
    """One flag: the overrides that it stands for.

    Args:
        overrides: override texts with `{value}`, or without it for a flag that takes no value.
        choices: for a flag with named values, the overrides of each.
        many: whether it takes several values.
        absent: for a flag whose values name what is wanted, the overrides of each value that is not given.
    """

    overrides: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] | None = None
    many: bool = False
    absent: dict[str, tuple[str, ...]] | None = None

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the flag."""
        named = self.choices is not None or self.absent is not None
        return named or any("{value}" in override for override in self.overrides)

    @property
    def meaning(self) -> str:
        """What it stands for, in a line."""
        if self.choices is not None:
            return ", ".join(f"{name}: {' '.join(words) or 'the default'}" for name, words in self.choices.items())
        if self.absent is not None:
            return f"any of {', '.join(self.absent)}; the others are left out"
        words = " ".join(word.replace("{value}", "VALUE") for word in self.overrides)
        return words or "accepted; there is nothing for it to leave out"


COMMON: dict[str, Flag] = {
    "seed": Flag(("seed={value}",)),
    "device": Flag(("device={value}",)),
    "mode": Flag(("device={value}",)),
    "size": Flag(("size={value}",)),
    "study": Flag(("study={value}",)),
    "frameworks": Flag(("frameworks={value}",), many=True),
    "output-dir": Flag(("figs={value}",)),
}
"""Flags of every study."""


def _repeats(task: str) -> tuple[str, str]:
    return tuple(f"study.tasks.{task}.timing.{name}={{value}}" for name in ("min_rounds", "max_rounds"))  # type: ignore[return-value]


SKIP_IMPORTANCE = ("study.tasks.importance_sampling.skip=true", "study.tasks.importance_sweep.skip=true")
SKIP_HMC = ("study.tasks.hmc.skip=true", "study.tasks.hmc_chains.skip=true")

STUDIES: dict[str, dict[str, Flag]] = {
    "faircoin": {
        "combined": Flag(("figures=[combined]",)),
        "posterior": Flag(("figures=[posterior]",)),
        "all": Flag(("figures=[combined,posterior,timing]",)),
        "num-obs": Flag(("study.parameters.n_observations={value}",)),
        "num-samples": Flag(("study.parameters.n_particles={value}",)),
        "repeats": Flag(("timing.min_rounds={value}", "timing.max_rounds={value}")),
    },
    "curvefit": {
        "scaling-max-samples": Flag(("study.scaling.max_particles={value}",)),
        "scaling-trials": Flag(("study.scaling.n_trials={value}",)),
        "scaling-max-large-trials": Flag(("study.scaling.n_large_trials={value}",)),
        "scaling-particle-counts": Flag(("study.scaling.particle_counts={value}",), many=True),
        # The published flag times five times as many calls.
        "scaling-extended-timing": Flag(("study.scaling.budget_share=1.0", "timing.interval_width=0.02")),
    },
    "gol": {
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
    },
    "localization": {
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
    },
    "perfbench": {
        "inference": Flag(
            choices={
                "all": (),
                "is": ("tasks=[importance_sampling,importance_sweep]", "figures=[importance,sweep]"),
                "hmc": ("tasks=[hmc,hmc_chains]", "figures=[hmc,effective]"),
            }
        ),
        "framework": Flag(("frameworks=[{value}]",)),
        "is-frameworks": Flag(
            ("study.tasks.importance_sampling.frameworks={value}", "study.tasks.importance_sweep.frameworks={value}"),
            many=True,
        ),
        "hmc-frameworks": Flag(
            ("study.tasks.hmc.frameworks={value}", "study.tasks.hmc_chains.frameworks={value}"), many=True
        ),
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
    },
}
"""Flags of one study, as the artifact documents them."""

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "curvefit": {"paper": ()},
    "localization": {"paper": ()},
    "perfbench": {
        "pipeline": (),
        "run": (),
        "combine": ("stages=[figures,export,report]",),
        "export": ("stages=[figures,export,report]",),
        "genjl-hmc": ("frameworks=[genjl,genjl_static]", "tasks=[hmc]", "figures=[hmc]"),
    },
}
"""Subcommands of the artifact's studies, and the overrides that each stands for."""

FRAMEWORK_NAMES = {
    "handcoded-jax": "handcoded_jax",
    "handcoded_torch": "torch",
    "handcoded-torch": "torch",
    "pytorch": "torch",
    "genjl_dynamic": "genjl",
    "genjl-dynamic": "genjl",
    "genjl-static": "genjl_static",
    "gen.jl": "genjl",
}
"""Spellings of frameworks in the artifact and its documents, and the name here."""


def table(study: str | None) -> dict[str, Flag]:
    """The flags that apply to a study (or to all of them, if it is None)."""
    return {**COMMON, **STUDIES.get(study or "", {})}


def translate(arguments: list[str], study: str | None) -> tuple[list[str], list[str]]:
    """Turns flags and options into overrides.

    Args:
        arguments: command-line words; those that are overrides already pass through.
        study: the study whose flags apply.

    Returns:
        (overrides, faults), one sentence per fault.
    """
    flags = table(study)
    overrides: list[str] = []
    faults: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in WORDS.get(study or "", {}):
            overrides.extend(WORDS[study or ""][word])
            continue
        if not word.startswith("--"):
            name, has_value, value = word.partition("=")
            # `gol.target=x` is the flag --target of the study gol.
            prefix, has_study, own = name.partition(".")
            is_of_study = bool(has_study) and prefix == study and own.replace("_", "-") in STUDIES.get(prefix, {})
            option = flags.get((own if is_of_study else name).replace("_", "-"))
            if has_value and option is not None and option.takes_value and (is_of_study or option.choices is not None):
                _expand(name, option, value, overrides, faults)
            else:
                overrides.append(word)
            continue
        name, inline, value = word[2:].partition("=")
        name = name.replace("_", "-")
        if name not in flags:
            faults.append(unknown("flag", f"--{name}", [f"--{known}" for known in flags]))
            while words and not words[0].startswith("--") and "=" not in words[0]:
                words.pop(0)  # its values
            continue
        flag = flags[name]
        if not flag.takes_value:
            if inline:
                faults.append(f"--{name} takes no value, got {value!r}.")
            overrides.extend(flag.overrides)
            continue
        if not inline:
            values: list[str] = []
            while words and not words[0].startswith("--") and (flag.many or not values) and "=" not in words[0]:
                values.append(words.pop(0))
            if not values:
                faults.append(f"--{name} needs a value, as in `--{name} VALUE`.")
                continue
            value = f"[{','.join(values)}]" if flag.many else values[0]
        elif flag.many and not value.startswith("["):
            value = f"[{value}]"
        _expand(name, flag, value, overrides, faults)
    return [_with_known_frameworks(override) for override in _measuring_nothing(overrides)], faults


def _measuring_nothing(overrides: list[str]) -> list[str]:
    """Both halves of perfbench left out means: draw what is stored."""
    both = {*SKIP_IMPORTANCE, *SKIP_HMC}
    if not both <= set(overrides):
        return overrides
    return [*(override for override in overrides if override not in both), "skip.run=true"]


def _with_known_frameworks(override: str) -> str:
    """An override of a list of frameworks with each named as its file is, once."""
    key, has_value, value = override.partition("=")
    if not has_value or key.rpartition(".")[2] != "frameworks" or not value.startswith("["):
        return override
    names = [name.strip().strip("'\"") for name in value.strip("[]").split(",") if name.strip()]
    known = dict.fromkeys(FRAMEWORK_NAMES.get(name.lower(), name) for name in names)
    return f"{key}=[{','.join(known)}]"


def _expand(name: str, flag: Flag, value: str, overrides: list[str], faults: list[str]) -> None:
    if flag.absent is not None:
        given = [word.strip() for word in value.strip("[]").split(",")]
        faults.extend(unknown(f"value of {name}", word, flag.absent) for word in given if word not in flag.absent)
        overrides.extend(word for name, words in flag.absent.items() if name not in given for word in words)
    elif flag.choices is None:
        overrides.extend(override.format(value=value) for override in flag.overrides)
    elif value in flag.choices:
        overrides.extend(flag.choices[value])
    else:
        faults.append(unknown(f"value of {name}", value, flag.choices))
