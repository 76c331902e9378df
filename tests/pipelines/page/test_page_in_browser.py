"""The page in a real browser, from disk, without a network."""

import json

import pytest

from pipelines.output.comparison import main as compare
from pipelines.output.page import build, content
from pipelines.testing.toy import Toy
from tests.browser import needs_browser, open_page
from tests.pipelines.page.made_up import CLAIMS, NASTY, a_configuration, a_failure, a_row

pytestmark = [
    needs_browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Playwright's own pipes
]
PHONE = {"viewport": {"width": 360, "height": 740}}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 300">'
    '<rect width="900" height="300" style="fill: #ffffff"/>'
    '<rect x="20" y="20" width="400" height="40" style="fill: #0173b2"/></svg>'
)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    figs = tmp_path_factory.mktemp("page") / "figs"
    figs.mkdir()
    (figs / "bars.svg").write_text(SVG)
    rows = [a_row(number) for number in range(40)]
    rows += [
        a_failure(40, "skipped", "julia is not installed"),
        a_failure(41, "invalid", "mean off by 3"),
        a_row(42, label=NASTY),
    ]
    entries = [
        content.FigureEntry("toy", "bars", "Bars of the times of five systems.", light="bars"),
        content.FigureEntry("toy", "lines", "Lines.", missing="no right row", command="./run paper-figures"),
    ]
    return build.write_page([a_configuration(figs)], {"toy": rows}, CLAIMS, {"toy": entries})


def column(page, number):
    return page.locator(
        f"#table tbody tr:visible td:nth-child({number}), #table tbody tr:visible th:nth-child({number})"
    )


def test_rows_are_sorted_by_number_and_by_text(page_path):
    with open_page(page_path) as page:
        head = page.get_by_role("columnheader", name="time")
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        values = [cell.get_attribute("data-value") for cell in column(page, 6).all()]
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers)
        assert values[-2:] == ["", ""], "cells without a number come last"
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        values = [cell.get_attribute("data-value") for cell in column(page, 6).all()]
        assert [float(value) for value in values if value] == sorted(numbers, reverse=True)
        assert values[-2:] == ["", ""]


def test_rows_are_filtered_by_words_and_status(page_path):
    with open_page(page_path) as page:
        assert page.get_by_role("status").inner_text() == "43 of 43 rows"
        page.get_by_label("Search").fill("julia")
        assert page.get_by_role("status").inner_text() == "1 of 43 rows"
        page.get_by_label("Search").fill("")
        page.get_by_label("Status").select_option("invalid")
        assert page.get_by_role("status").inner_text() == "1 of 43 rows"
        assert "mean off by 3" in page.locator("#table tbody tr:visible").inner_text()


def test_row_opens_to_its_rounds_and_command_by_keyboard(page_path):
    with open_page(page_path) as page:
        button = page.locator("#table tbody button").nth(1)
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        opened = page.locator("tr.opened")
        assert "./run paper-figures study=toy" in opened.inner_text()
        assert "A processor" in opened.inner_text()
        assert opened.locator("circle").count() == 15
        page.keyboard.press("Enter")
        assert page.locator("tr.opened").count() == 0


def test_figure_opens_and_follows_the_colours(page_path):
    with open_page(page_path, color_scheme="dark") as page:
        picture = page.locator("#figure-toy-bars img")
        picture.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('#figure-toy-bars img').complete")
        assert picture.evaluate("image => image.currentSrc").endswith("bars.dark.svg")
        assert picture.evaluate("image => image.naturalWidth") > 0
        page.get_by_role("button", name="Dark or light").click()
        page.wait_for_function("document.querySelector('#figure-toy-bars img').currentSrc.endsWith('bars.svg')")
        page.locator("#figure-toy-bars a").click()
        assert page.url.endswith("bars.svg")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_nothing_serious_for_accessibility_and_no_sideways_scrolling(page_path, scheme, options):
    from axe_playwright_python.sync_playwright import Axe

    with open_page(page_path, color_scheme=scheme, **options) as page:
        page.locator("#table tbody button").nth(1).click()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1]
        found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_page_is_complete_without_script(page_path):
    with open_page(page_path, java_script_enabled=False) as page:
        assert page.locator("#table tbody tr").count() == 43
        assert "The claim one holds" in page.locator("main").inner_text()
        assert "need JavaScript" in page.content()


def test_empty_page_has_no_errors(tmp_path):
    path = build.write_page([a_configuration(tmp_path / "figs")], {"toy": []}, [], {"toy": []})
    with open_page(path) as page:
        assert "nothing was measured" in page.locator("#rows").inner_text()


def test_page_of_two_stores_opens_without_errors(tmp_path):
    toy = Toy(tmp_path / "checkout")
    for name in ("old", "new"):
        assert toy.run("stages=[run]", "frameworks=[first,second]", f"results={tmp_path / name}") == 0
    (tmp_path / "new" / "odd").mkdir()
    places = [str(tmp_path / "old"), str(tmp_path / "new"), "--page", str(tmp_path / "page")]
    assert compare(places) == 0
    from axe_playwright_python.sync_playwright import Axe

    with open_page(tmp_path / "page" / "index.html", **PHONE) as page:
        assert page.locator("tbody tr").count() == 2
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1]
        found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
    facts = json.loads((tmp_path / "page" / "comparison.json").read_text())
    assert {one["verdict"] for one in facts} <= {"no difference shown", "faster", "slower", "cannot tell"}
