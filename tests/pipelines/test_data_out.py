"""What leaves the store: tables, macros, and the archive that other commands read."""

import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import UserError
from pipelines.output import archive, data
from pipelines.output.numbers import macro, numbers
from pipelines.output.page.__main__ import main as report
from pipelines.results.store import Store
from pipelines.results.tables import ROUND_COLUMNS, ROW_COLUMNS, tables
from pipelines.testing.toy import Toy
from tests.pipelines.page.made_up import CLAIMS, a_failure, a_row


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Toy:
    toy = Toy(tmp_path_factory.mktemp("measured"))
    toy.model("third", wrong=1.0)
    assert toy.run() == 1
    return toy


def test_tables_hold_every_record_and_every_round(measured):
    rows, rounds = tables(Store(measured.root / "results"))
    assert list(rows.columns) == list(ROW_COLUMNS)
    assert list(rounds.columns) == list(ROUND_COLUMNS)
    assert dict(zip(rows.framework, rows.status, strict=True)) == {"first": "ok", "second": "ok", "third": "invalid"}
    assert rows.set_index("framework").reason["third"].startswith("total is off")
    record = json.loads(measured.records()[0].read_text())
    _, arrays = Store(measured.root / "results").load("toy", "total", record["key"])
    if record["status"] == "ok":
        assert np.array_equal(rounds[rounds.key == record["key"]].seconds, arrays["samples_s"])
    timed = rows[rows.status == "ok"]
    assert (timed.seconds_low <= timed.seconds).all() and (timed.seconds <= timed.seconds_high).all()
    assert set(rounds.key) == set(timed.key)


def test_three_formats_say_the_same(measured, tmp_path):
    assert data.main(["export", "size=smoke", f"figs={tmp_path}"], measured.tree) == 0
    folder = tmp_path / "export"
    for name in ("rows", "rounds"):
        formats = [
            pd.read_csv(folder / f"{name}.csv"),
            pd.read_json(folder / f"{name}.json", precise_float=True),
            pd.read_parquet(folder / f"{name}.parquet"),
        ]
        assert len({len(one) for one in formats}) == 1
        for column in ("seconds", "seconds_low", "ratio", "compile_s", "baseline_seconds"):
            for other in formats[1:] if column in formats[0] else []:
                np.testing.assert_allclose(other[column].astype(float), formats[0][column], rtol=1e-9)
    text = (folder / "columns.md").read_text()
    assert all(f"`{column}`" in text for column in [*ROW_COLUMNS, *ROUND_COLUMNS])
    assert "@article" in (folder / "citation.bib").read_text()


def test_macros_have_names_that_latex_allows():
    assert macro("hmc", "n_chains 1000", "handcoded_jax") == "hmcNChainsOneZeroZeroZeroHandcodedJax"
    text = numbers(CLAIMS, {"toy": [*(a_row(number) for number in range(5)), a_failure(6, "failed", "x")]})
    found = re.findall(r"\\newcommand\{\\(\w+)\}\{(.*)\}", text)
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[A-Za-z]+", name) for name in names)
    assert dict(found)["claimOne"] == "1" and dict(found)["claimOneVerdict"] == "reproduced"
    assert dict(found)["claimOneLow"] == "0.98"


def test_archive_is_read_where_results_are(measured, tmp_path, capsys):
    target = tmp_path / "bundle.zip"
    assert data.main(["bundle", "size=smoke", str(target)], measured.tree) == 0
    names = zipfile.ZipFile(target).namelist()
    assert names[0] == archive.MARK
    assert not any(name.endswith(".lock") or ".corrupt" in name for name in names)
    assert report([f"results={target}", "size=smoke", f"figs={tmp_path / 'figs'}"], measured.tree) == 0
    page = (tmp_path / "figs" / "report" / "index.html").read_text()
    assert "2 of 3 cells computed the right answer" in page
    assert "figures/toy_times_points3.svg" in page, "the figures come out of the archive too"


def test_archive_that_is_not_ours_is_refused(tmp_path):
    other, text, escaping = tmp_path / "other.zip", tmp_path / "text.zip", tmp_path / "escaping.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("a", "b")
    text.write_text("not a zip")
    with zipfile.ZipFile(escaping, "w") as file:
        file.writestr(archive.MARK, "{}")
        file.writestr("../../outside", "x")
    for path, message in ((other, "did not make it"), (text, "not a zip"), (escaping, "outside its folder")):
        with pytest.raises(UserError, match=message), archive.opened(path):
            pass
    assert not (tmp_path.parent / "outside").exists()


def test_nothing_to_bundle_is_said(measured, tmp_path, capsys):
    assert data.main(["bundle", f"results={tmp_path / 'none'}"], measured.tree) == 2
    assert "holds no results" in capsys.readouterr().err


def test_empty_store_exports_empty_tables(measured, tmp_path):
    assert data.main(["export", f"results={tmp_path / 'none'}", f"figs={tmp_path}"], measured.tree) == 0
    assert pd.read_parquet(tmp_path / "export" / "rows.parquet").empty
