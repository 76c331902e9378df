"""The subcommands of the published command lines."""

import pytest

from pipelines.config.flags import translate
from pipelines.plan.tree import Tree


@pytest.mark.parametrize("study", ["curvefit", "localization"])
def test_paper_is_the_only_mode_and_changes_nothing(study):
    assert translate(["paper"], study, Tree()) == ([], [])


def test_a_word_of_another_study_passes_through_to_be_refused():
    assert translate(["paper"], "faircoin", Tree()) == (["paper"], [])
