"""Plots: raincloud plots and the house style. The only part of GenJAX that needs matplotlib."""

import importlib.util

if importlib.util.find_spec("matplotlib") is None:
    raise ModuleNotFoundError(
        "genjax.viz draws with matplotlib, which is not installed. Install it, or the extra `viz` of this project.",
        name="matplotlib",
    )

from genjax.viz import raincloud as raincloud
from genjax.viz import standard as standard
from genjax.viz.raincloud import diagnostic_raincloud as diagnostic_raincloud
from genjax.viz.raincloud import horizontal_raincloud as horizontal_raincloud
