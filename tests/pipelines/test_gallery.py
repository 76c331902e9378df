"""The pictures of the README, redrawn from a small store."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines.output import gallery, screenshot
from pipelines.plan.tree import Tree
from pipelines.testing.toy import FAST
from tests.browser import needs_browser


def test_gallery_is_redrawn_from_the_store(toy, monkeypatch, capsys):
    monkeypatch.setattr(screenshot, "find_browser", lambda: None)
    pictures = toy.root / "figs" / "gallery"
    settings = toy.root / "configs/study/toy.yaml"
    settings.write_text(settings.read_text() + "\ngallery: {times: times}\n")
    assert gallery.main([*FAST], toy.tree) == 1
    assert "times stays as it was" in capsys.readouterr().out and not list(pictures.iterdir())
    toy.run("stages=[run]")
    assert gallery.main([*FAST], toy.tree) == 0
    assert "no picture of the page: no Chromium" in capsys.readouterr().out
    with Image.open(pictures / "times.png") as image:
        assert image.width == gallery.WIDTH
    assert [path.name for path in pictures.iterdir()] == ["times.png"]


@needs_browser
def test_page_is_pictured(tmp_path):
    page = tmp_path / "page with space.html"
    page.write_text("<!DOCTYPE html><body style='background: #ff0000'>")
    assert screenshot.screenshot(page, tmp_path / "page.png", 320, 200) is None
    with Image.open(tmp_path / "page.png") as image:
        assert image.size == (320, 200) and image.convert("RGB").getpixel((160, 100)) == (255, 0, 0)


def test_browser_that_does_not_work_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    assert "none" in str(screenshot.screenshot(tmp_path / "page.html", tmp_path / "page.png", 10, 10))
    monkeypatch.setenv("CHROMIUM", "/bin/false")
    assert "status 1" in str(screenshot.screenshot(tmp_path / "page.html", tmp_path / "page.png", 10, 10))


def test_there_are_pictures():
    assert len(gallery.pictures_of(Tree())) > 4


@pytest.mark.parametrize("name", gallery.pictures_of(Tree()))
def test_every_picture_is_committed_and_shown(name):
    root = Path(gallery.__file__).parents[2]
    assert (root / "figs" / "gallery" / f"{name}.png").is_file()
    pages = [root / "README.md", root / "docs" / "results.md"]
    assert any(f"figs/gallery/{name}.png" in page.read_text(encoding="utf-8") for page in pages)
