"""What the page says, looked at as text: complete, escaped, and sensible when there is little or nothing to say."""

import html.parser
import json
import re
import time

import pytest

from pipelines.output.claim_metrics import Measured
from pipelines.output.claims import REPRODUCED
from pipelines.output.page import build, content
from pipelines.output.page.recolour import dark
from tests.pipelines.page.made_up import CLAIMS, NASTY, a_claim, a_configuration, a_failure, a_row


class Outline(html.parser.HTMLParser):
    """Elements and text of a page, to see that what was meant as text is text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def write(tmp_path, rows=(), claims=(), figures=None) -> str:
    figs = tmp_path / "figs"
    path = build.write_page([a_configuration(figs)], {"toy": list(rows)}, claims, figures or {"toy": []})
    return path.read_text(encoding="utf-8")


def details(text: str):
    return json.loads(re.search(r'<script type="application/json" id="details">(.*?)</script>', text, re.S).group(1))


def test_claims_rows_and_their_provenance_are_there(tmp_path):
    rows = [a_row(number) for number in range(6)]
    text = write(tmp_path, rows, CLAIMS)
    for claim in CLAIMS:
        assert claim.claim.text in text
    assert text.index("The claim one") < text.index("The claim two") < text.index("The claim three")
    found = details(text)
    assert len(found["rows"]) == 6
    assert len(found["where"]) == 1, "one machine, told once"
    assert found["rows"][2]["key"] == f"{2:024x}"
    assert found["rows"][2]["ms"] == [float(f"{1e3 * value:.4g}") for value in rows[2].samples_s]
    assert found["rows"][2]["diagnostics"] == {"effective_sample_size": 100.0, "log_evidence": None}
    assert "study=toy" in found["rows"][2]["command"] and "remeasure=[system_2]" in found["rows"][2]["command"]


def test_table_tells_the_cores_of_timed_rows_on_a_cpu(tmp_path):
    assert [content.shown_cores(a_row(0, cores=cores)) for cores in (1, None)] == ["1", "all 2"]
    assert content.shown_cores(a_row(0, cores=None, record={})) == "all"
    assert content.shown_cores(a_row(0, device="cuda")) == content.shown_cores(a_failure(0, "failed", "x")) == ""
    text = write(tmp_path, [a_row(0, cores=None)])
    assert ">cores</button>" in text and "<td>all 2</td>" in text


def test_strip_places_the_interval_against_what_is_accepted():
    bar = content.claim_entry(
        a_claim("x", REPRODUCED, Measured(1.0, 0.9, 1.1), accept={"at_least": 0.5, "at_most": 1.5})
    ).bar
    assert 0 < bar["accept_low"] < bar["low"] < bar["value"] < bar["high"] < bar["accept_high"] < 1
    assert content.claim_entry(a_claim("x", REPRODUCED, None)).bar == {}
    one_sided = content.claim_entry(a_claim("x", REPRODUCED, Measured(3.0, 3.0, 3.0), accept={"at_least": 3.0})).bar
    assert one_sided["accept_high"] == 1.0 and one_sided["value"] == one_sided["accept_low"]


def test_names_from_results_are_text(tmp_path):
    row = a_row(0, label=NASTY, study=NASTY, task=NASTY, parameters={NASTY: NASTY}, flags=(NASTY,))
    failure = a_failure(1, "failed", NASTY)
    text = write(tmp_path, [row, failure], [a_claim(NASTY, REPRODUCED, None, published=NASTY)])
    outline = Outline(text)
    assert outline.elements.count("script") == 2
    assert "alert('x')" in "".join(outline.text)
    assert "\x1b" not in text
    assert details(text)["rows"][0]["parameters"] == {NASTY: NASTY} or "\x1b" not in json.dumps(details(text))


def test_empty_store_says_so(tmp_path):
    text = write(tmp_path)
    assert "nothing was measured into this store" in text
    assert "No claim was judged" in text
    assert "every cell has a number" in text


def test_only_failures_are_told_with_their_reasons(tmp_path):
    rows = [
        a_failure(0, "failed", "it broke"),
        a_failure(5, "failed", "it broke"),
        a_failure(1, "invalid", "wrong sum"),
    ]
    text = write(tmp_path, rows)
    assert "0 of 3 cells" in text
    assert "it broke" in text and "wrong sum" in text


def test_figure_that_is_missing_is_named_with_its_command(tmp_path):
    entry = content.FigureEntry(
        "toy", "bars", "Bars of times.", missing="no right row", command="./run x figures=[bars]"
    )
    text = write(tmp_path, [a_row()], figures={"toy": [entry]})
    assert "Not drawn: no right row" in text and "figures=[bars]" in text


def test_figures_come_in_two_colours_and_large_ones_as_pictures(tmp_path):
    figs = tmp_path / "figs"
    figs.mkdir()
    (figs / "small.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><path style="fill: #ffffff"/></svg>')
    (figs / "large.svg").write_text(f"<svg>{' ' * build.LARGEST_SVG_BYTES}</svg>")
    for name in ("small", "large"):
        (figs / f"{name}.png").write_bytes(b"png")
        (figs / f"{name}.pdf").write_bytes(b"pdf")
    entries = [content.FigureEntry("toy", name, "What to see.", light=name) for name in ("small", "large")]
    text = write(tmp_path, [a_row()], figures={"toy": entries})
    assert 'srcset="figures/small.dark.svg"' in text
    assert 'src="figures/small.svg"' in text
    assert 'src="figures/large.png"' in text
    assert (figs / "report" / "figures" / "small.dark.svg").read_text() != (figs / "small.svg").read_text()


def test_dark_figure_turns_greys_and_keeps_hues():
    turned = dark(
        '<svg id="a"><path style="fill: #ffffff; stroke: #000000"/><path fill="#0173B2"/><a href="#p0123456"/></svg>'
    )
    assert "#171717" in turned and "#ededed" in turned
    assert 'fill="#ededed"' in turned.split(">")[0]
    blue = re.search(r'path fill="#(\w\w)(\w\w)(\w\w)"', turned).groups()
    assert int(blue[2], 16) > int(blue[1], 16) > int(blue[0], 16)
    assert "#p0123456" in turned


def test_two_machines_are_both_named(tmp_path):
    other = a_row(1)
    other.record["provenance"]["cpu"] = "Another processor"
    facts = dict(content.machine_facts([a_row(0), other]))
    assert facts["processor"] == "A processor, Another processor"


def test_older_page_is_replaced_whole_and_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    write(tmp_path, [a_row()])
    (tmp_path / "figs" / "report" / "old").touch()
    write(tmp_path, [a_row()])
    assert sorted(path.name for path in (tmp_path / "figs").iterdir()) == ["report"]
    assert not (tmp_path / "figs" / "report" / "old").exists()
    from pipelines.errors import StoreError

    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="figs=FOLDER"):
        build.write_page([a_configuration(tmp_path / "file" / "figs")], {"toy": []}, [], {"toy": []})


def test_five_thousand_rows_fit_a_page(tmp_path):
    start = time.process_time()
    text = write(tmp_path, [a_row(number) for number in range(5000)], CLAIMS)
    assert len(text.encode()) < 10e6
    assert text.count("<tr data-row") == 5000
    assert time.process_time() - start < 60, "a page must not take quadratic time"


def test_every_claim_says_what_was_measured_how_sure_and_how_to_check(tmp_path):
    from dataclasses import replace

    from pipelines.output.claim_metrics import IN_WORDS, METRICS
    from pipelines.output.claims import GATED, read_claims
    from pipelines.plan.tree import Tree

    assert set(IN_WORDS) == set(METRICS)
    found = {one.claim.name: content.claim_entry(replace(one, flip=2e-4)) for one in CLAIMS}
    assert found["one"].answer == (
        "Yes: all of the 95% interval lies inside the accepted range (at most 1.05). "
        "Measured once more, the answer would differ less than once in 1,000 times."
    )
    assert found["two"].answer.startswith("No, not on this machine: all of the 95% interval lies outside")
    assert found["three"].answer == "Cannot tell yet." and found["three"].why
    assert "GPU" in found["four"].answer and found["four"].command.endswith("device=cuda")
    assert content.claim_entry(a_claim("x", GATED, None)).answer.startswith("Yes, but")
    assert found["one"].command == "./run paper-figures 'tasks=[task_0]' 'remeasure=[task_0]'"
    for claim in read_claims(Tree()):
        text = content.claim_entry(replace(CLAIMS[0], claim=claim)).quantity
        assert text and "{" not in text and "  " not in text, claim.name


def test_frequency_and_disturbances_while_racing_are_told():
    calm = {"governors": ["performance"], "turbo": True, "mhz_before": 2900.0, "mhz_after": 3100.0,
            "contention": 0.01, "throttled_periods": 0, "thermal_throttles": 2}  # fmt: skip
    row = a_row(0)
    row.record["condition"] = calm
    facts = dict(content.machine_facts([row, a_row(1)]))
    assert facts["CPU frequency while racing"] == "2,900 to 3,100 MHz"
    assert facts["CPU governor while racing"] == "performance" and facts["turbo"] == "on"
    assert facts["periods held back by a CPU quota"] == "never" and facts["slowed by heat"] == "2 at most in a race"
