"""`./run gallery [KEY=VALUE ...]`: the pictures of the README, redrawn from what is stored; measures nothing.

Draws the figures behind `figs/gallery`, makes them as wide as a README shows them, renews the page and takes a picture
of its top (`report.png`) with the system's Chromium. A figure that is not drawn keeps its older picture and is named.
Meant for after a full run on a quiet machine.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf

from pipelines.cli import main as draw
from pipelines.config.configuration import configure
from pipelines.entry import guarded
from pipelines.output.page.__main__ import main as report
from pipelines.output.page.build import figure_entries
from pipelines.output.page.content import figure_files
from pipelines.output.screenshot import screenshot
from pipelines.plan.tree import Tree
from pipelines.results.store import store_error

WIDTH = 1200
PAGE_WIDTH, PAGE_HEIGHT = 1200, 1000


def pictures_of(tree: Tree) -> dict[str, tuple[str, str]]:
    """Name of a picture in `figs/gallery` -> the study and figure that it shows: `gallery` of the studies' settings."""
    found = {}
    for study in tree.studies():
        chosen = OmegaConf.select(OmegaConf.load(tree.settings(study)), "gallery", default={})
        for figure, name in chosen.items():
            found[str(name)] = (study, str(figure))
    return found


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """Redraws the gallery; 1 if a picture could not be made."""
    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0
    checkout = tree or Tree()

    def run() -> int:
        folder = checkout.root / "figs" / "gallery"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store_error(error, folder, "figs") from error
        absent = _pictures(arguments, checkout, pictures_of(checkout), folder)
        page_status = report(arguments, checkout)
        page = configure(arguments, checkout)[0].figs / "report" / "index.html"
        reason = screenshot(page, folder / "report.png", PAGE_WIDTH, PAGE_HEIGHT) if page_status == 0 else "no page"
        print(f"gallery: no picture of the page: {reason}" if reason else f"gallery: {folder / 'report.png'}")
        return int(bool(absent) or page_status != 0)

    return guarded(run)


def _pictures(words: list[str], tree: Tree, pictures: Mapping[str, tuple[str, str]], folder: Path) -> list[str]:
    """Draws and places the pictures; the names of those that there are none of."""
    absent = []
    for study in dict.fromkeys(study for study, _ in pictures.values()):
        own = {figure: name for name, (of, figure) in pictures.items() if of == study}
        chosen = [*words, f"study={study}", f"figures=[{','.join(own)}]"]
        # The status also tells of cells that are wrong; what counts here is whether there is a figure.
        draw([*chosen, "stages=[figures]"], tree=tree)
        (configuration,) = configure(chosen, tree)
        for entry in figure_entries(configuration):
            drawn = figure_files(configuration.figs, entry.light).get("png") if entry.light else None
            if drawn is None:
                absent.append(own[entry.name])
                print(f"gallery: {own[entry.name]} stays as it was: {study}/{entry.name} is not drawn")
                continue
            _place(drawn, folder / f"{own[entry.name]}.png")
            print(f"gallery: {folder / own[entry.name]}.png")
    return absent


def _place(drawn: Path, picture: Path) -> None:
    """Copies a figure, made smaller where it is wider than a README shows it."""
    from PIL import Image  # comes with matplotlib

    with Image.open(drawn) as image:
        height = round(image.height * WIDTH / image.width)
        smaller = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        smaller.save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
