"""The table of the artifact's flags: each stands for settings that exist, and --help tells which."""

import pytest

from pipelines.cli import help_text
from pipelines.config import flags
from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.tree import Tree
from studies.base import Flag

TREE = Tree()
STUDIES = list(TREE.studies())


def stood_for(study):
    """Every override that a flag or word of the study may become."""
    for flag in flags.table(TREE, study).values():
        yield from flag.overrides
        for named in (flag.choices, flag.absent):
            for words in (named or {}).values():
                yield from words
    for words in flags.words_of(TREE, study).values():
        yield from words


@pytest.mark.parametrize("study", STUDIES)
def test_every_flag_stands_for_settings_that_exist(study):
    # A value that nothing takes: each setting that exists complains of it, or of nothing, but not of its own name.
    keys = dict.fromkeys(word.partition("=")[0] for word in stood_for(study))
    probes = [f"{key}=[probe]" for key in keys if key not in ("study", "size", "device")]
    with pytest.raises(ConfigurationFaults) as caught:
        configure([f"study={study}", *probes, "study.parameters.no_such_thing=1"], TREE)
    unknown = [fault for fault in caught.value.faults if fault.startswith("Unknown override")]
    assert len(unknown) == 1 and "no_such_thing" in unknown[0]


@pytest.mark.parametrize("study", STUDIES)
def test_help_tells_what_every_flag_stands_for(study):
    lines = help_text(TREE, study).splitlines()
    for name, flag in flags.table(TREE, study).items():
        (line,) = [one for one in lines if one.startswith(f"  --{name} ")]
        assert flag.meaning in line
        for override in flag.overrides:
            assert override.partition("=")[0] in line


def test_meanings():
    assert Flag(("seed={value}", "x={value}")).meaning == "seed=VALUE x=VALUE"
    assert Flag(choices={"all": (), "is": ("tasks=[a]",)}).meaning == "all: the default, is: tasks=[a]"
    assert Flag(many=True, absent={"a": (), "b": ("skip",)}).meaning == "any of a, b; the others are left out"


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["--pick", "a,b"], []),
        (["--pick", "a", "b"], []),
        (["--pick=b"], ["skip.a=true"]),
        (["--pick", "a"], ["skip.b=true"]),
    ],
)
def test_values_that_are_not_given_are_left_out(toy, words, overrides):
    flag = 'Flag(many=True, absent={"a": ("skip.a=true",), "b": ("skip.b=true",)})'
    toy.write("studies/toy/flags.py", f"from studies.base import Flag\n\nFLAGS = {{'pick': {flag}}}\n")
    assert flags.translate(words, "toy", toy.tree) == (overrides, [])
    assert "Unknown value of pick 'c'" in flags.translate(["--pick", "a,c"], "toy", toy.tree)[1][0]
