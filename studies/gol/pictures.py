"""Target pictures: a wizard's hat drawn by formulas at any size, and pictures from files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_POINTS_PER_SIDE = 1024
MAX_SUPERSAMPLING = 4


def wizards(height: int, width: int) -> np.ndarray:
    """A wizard's hat with its wand under the moon and stars; the dark parts are ones. (height, width) bool.

    The drawing is on the unit square, centred on the board and as large as its shorter side; the sky and the ground go
    on beyond it. Cells of small boards are the majority of several points, so that thin lines survive.
    """
    side = min(height, width)
    n = max(1, min(MAX_SUPERSAMPLING, MAX_POINTS_PER_SIDE // side))
    rows = ((np.arange(height * n) + 0.5) / n - (height - side) / 2) / side
    columns = ((np.arange(width * n) + 0.5) / n - (width - side) / 2) / side
    dark = _drawing(*np.meshgrid(columns, rows))
    return dark.reshape(height, n, width, n).mean((1, 3)) >= 0.5


def from_file(path: str, height: int, width: int) -> np.ndarray:
    """A picture file as a board: dark pixels are ones, bright and transparent ones zeros. (height, width) bool.

    The picture keeps its shape: it is scaled until it touches two opposite edges of the board, and lies in its middle.
    A cell is one where the mean brightness of its red, green and blue, on a white ground, is below half.

    Raises:
        ValueError: There is no such file, it is no picture that Pillow reads, or all its cells would be equal.
    """
    if not Path(path).is_file():
        raise ValueError(f"gol got target={path!r}: there is no such file here. Give a path to a picture.")
    try:
        with Image.open(path) as image:
            colours = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError(f"gol got target={path!r}, which cannot be read as a picture: {error}") from error
    on_white = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    scale = min(width / on_white.width, height / on_white.height)
    size = (max(1, round(on_white.width * scale)), max(1, round(on_white.height * scale)))
    dark = np.asarray(on_white.resize(size, Image.Resampling.BOX)).mean(2) < 127.5
    if dark.all() or not dark.any():
        raise ValueError(
            f"gol got target={path!r}, whose {size[1]} by {size[0]} cells are all "
            f"{'dark' if dark.all() else 'bright'}. "
            "Give a picture with dark and bright parts; the threshold is at half of full brightness."
        )
    board = np.zeros((height, width), bool)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    board[top : top + size[1], left : left + size[0]] = dark
    return board


def _drawing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the drawing is dark at the points (x, y); (0, 0) is the upper left corner."""
    dark = np.ones(x.shape, bool)
    # The ground is bright.
    dark &= y < 0.885 + 0.12 * (x - 0.46) ** 2
    # Moon: a bright disc behind the hat's tip, with three craters.
    dark &= ~_disc(x, y, 0.66, 0.33, 0.275)
    for cx, cy, radius in ((0.80, 0.30, 0.035), (0.745, 0.43, 0.024), (0.79, 0.385, 0.013), (0.70, 0.16, 0.02)):
        dark |= _disc(x, y, cx, cy, radius) & ~_disc(x, y, cx + 0.25 * radius, cy + 0.25 * radius, 0.8 * radius)
    # Stars of the sky.
    for cx, cy, radius, turn in (
        (0.16, 0.15, 0.075, 0.1), (0.36, 0.07, 0.03, 0.5), (0.09, 0.40, 0.035, 0.3), (0.93, 0.08, 0.035, 0.9),
        (0.27, 0.30, 0.028, 0.0), (0.94, 0.60, 0.045, 0.4), (0.05, 0.62, 0.022, 0.7), (0.20, 0.51, 0.02, 0.2),
    ):  # fmt: skip
        dark &= ~_star(x, y, cx, cy, radius, turn)
    # The hat has a bright rim, so that it stands out against the sky.
    cone = _polygon(x, y, CONE)
    brim = _ellipse(x, y, 0.46, 0.80, 0.40, 0.095)
    dark &= ~(_ellipse(x, y, 0.46, 0.80, 0.425, 0.12) | _polygon(x, y, _grown(CONE, 0.022)))
    dark |= cone | brim
    # Band with a buckle.
    band = cone & (np.abs(y - 0.725 - 0.035 * (1 - ((x - 0.46) / 0.25) ** 2)) < 0.030)
    dark &= ~band
    buckle = np.maximum(np.abs(x - 0.46) / 0.052, np.abs(y - 0.758) / 0.05)
    dark |= band & (buckle < 1.25)
    dark &= ~((buckle < 1) & (buckle > 0.55))
    # Stars and a crescent moon on the hat.
    for cx, cy, radius, turn in ((0.40, 0.645, 0.05, 0.2), (0.585, 0.665, 0.03, 0.6), (0.475, 0.385, 0.027, 0.1)):
        dark &= ~(_star(x, y, cx, cy, radius, turn) & cone)
    dark &= ~(_disc(x, y, 0.505, 0.53, 0.05) & ~_disc(x, y, 0.525, 0.515, 0.042))
    # Wand with a sparkling tip, lying before the brim.
    wand = _segment(x, y, (0.70, 0.955), (0.90, 0.775), 0.014)
    dark &= ~_segment(x, y, (0.70, 0.955), (0.90, 0.775), 0.026)
    dark |= wand
    dark &= ~_sparkle(x, y, 0.925, 0.75, 0.085)
    return dark


def _curve(points: Sequence[tuple[float, float]], n_steps: int = 24) -> list[tuple[float, float]]:
    """A smooth curve through the points (Catmull-Rom), as a polyline."""
    p = np.array([points[0], *points, points[-1]])
    t = np.linspace(0, 1, n_steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        pieces.append(b + t * (c - a) / 2 + t**2 * (2 * a - 5 * b + 4 * c - d) / 2 + t**3 * (3 * b - a - 3 * c + d) / 2)
    return [tuple(point) for point in np.concatenate([*pieces, p[-1:]])]


LEFT_EDGE = ((0.205, 0.80), (0.275, 0.66), (0.335, 0.52), (0.385, 0.37), (0.435, 0.255), (0.50, 0.17), (0.575, 0.13))
TIP = ((0.575, 0.13), (0.645, 0.125), (0.705, 0.165), (0.725, 0.225))
RIGHT_EDGE = (
    (0.725, 0.225), (0.67, 0.205), (0.615, 0.225), (0.585, 0.29), (0.60, 0.40), (0.63, 0.54), (0.675, 0.68),
    (0.715, 0.80),
)  # fmt: skip
CONE = (*_curve(LEFT_EDGE), *_curve(TIP), *_curve(RIGHT_EDGE))


def _grown(points: Sequence[tuple[float, float]], distance: float) -> Sequence[tuple[float, float]]:
    """The polygon with every corner moved outwards along its normal."""
    p = np.array(points)
    tangents = np.roll(p, -1, 0) - np.roll(p, 1, 0)
    normals = np.stack([tangents[:, 1], -tangents[:, 0]], 1) / np.linalg.norm(tangents, axis=1, keepdims=True)
    return [tuple(point) for point in p + distance * normals]


def _disc(x, y, cx, cy, radius):
    return _ellipse(x, y, cx, cy, radius, radius)


def _ellipse(x, y, cx, cy, a, b):
    return ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1


def _polygon(x: np.ndarray, y: np.ndarray, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Which points have an odd number of edges on their right; evaluated where an edge is on their height."""
    inside = np.zeros(x.shape, bool)
    heights = y[:, 0]
    for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
        rows = np.flatnonzero((heights >= min(y1, y2)) & (heights < max(y1, y2)))
        if len(rows):
            crossing = x1 + (heights[rows] - y1) * (x2 - x1) / (y2 - y1)
            inside[rows] ^= x[rows] < crossing[:, None]
    return inside


def _star(x, y, cx, cy, radius, turn):
    """Five points, by polar angle."""
    angles = turn + np.pi * np.arange(10) / 5
    radii = radius * np.where(np.arange(10) % 2, 0.42, 1.0)
    return _polygon(x, y, list(zip(cx + radii * np.sin(angles), cy - radii * np.cos(angles), strict=True)))


def _sparkle(x, y, cx, cy, radius):
    """Four concave points."""
    return np.sqrt(np.abs(x - cx) / radius) + np.sqrt(np.abs(y - cy) / radius) <= 1


def _segment(x, y, start, end, radius):
    (x1, y1), (x2, y2) = start, end
    t = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2), 0, 1)
    return np.hypot(x - x1 - t * (x2 - x1), y - y1 - t * (y2 - y1)) <= radius
