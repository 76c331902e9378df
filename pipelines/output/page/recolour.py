"""The dark form of a figure: the same SVG with its greys turned over."""

import colorsys
import re

PAPER = 0.09
"""Lightness of the dark background, on a scale from 0 (black) to 1 (white); black ink becomes `INK`."""

INK = 0.93
NEUTRAL = 0.06
"""Largest spread of red, green and blue of a colour that counts as a grey."""

DIMMEST = 0.45
"""Least lightness of a colour that means something, so that it stands out from the background."""


def dark(svg: str) -> str:
    """The SVG text of a figure for a dark page.

    Greys, black and white among them, change places with their opposites. Colours keep their hue, and dim ones gain
    lightness. Pictures inside the figure stay as they are: they are data.
    """
    recoloured = re.sub(r"(?<![\w/+])#[0-9a-fA-F]{6}\b", lambda found: _turned(found.group(0)), svg)
    # What names no colour is black in SVG.
    return re.sub(r"<svg ", f'<svg fill="{_hex(INK, INK, INK)}" ', recoloured, count=1)


def _turned(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    if max(red, green, blue) - min(red, green, blue) <= NEUTRAL:
        grey = INK - (red + green + blue) / 3 * (INK - PAPER)
        return _hex(grey, grey, grey)
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    return _hex(*colorsys.hls_to_rgb(hue, max(lightness, DIMMEST), saturation))


def _hex(*parts: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
