"""Every cell of every study at the smoke size, composed once for all tests that choose among them."""

import functools

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree

TREE = Tree()


@functools.cache
def smoke_cells():
    return [
        cell
        for configuration in configure(["size=smoke"], TREE)
        for race in races(configuration)
        for cell in race.cells
    ]
