"""The page from a store that has a record for every cell: through the command, without measuring."""

import pytest

from pipelines.output.page.__main__ import main
from pipelines.testing.full_store import write_full_store


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_report_of_a_full_store(tmp_path, capsys):
    words = ["study=faircoin"]
    count = write_full_store(tmp_path / "results", words)
    assert main([*words, f"results={tmp_path / 'results'}", f"figs={tmp_path / 'figs'}"]) == 0
    assert "report:" in capsys.readouterr().out
    text = (tmp_path / "figs" / "report" / "index.html").read_text()
    assert text.count("<tr data-row") >= count > 3
    assert "On the coin, NumPyro takes longer" in text
    # Rows of a store are not doubted because nobody compared their sources, so claims about times get an answer.
    assert "earlier sources" not in text and 'class="claim reproduced"' in text
    assert "CPU frequency while racing" in text and "Not drawn" in text
    assert len(text) < 1e6
