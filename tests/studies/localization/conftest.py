"""Parameters as configured, and a world whose sensor is linear."""

import copy

import pytest

from pipelines.config.configuration import configure
from pipelines.plan.tree import Tree


@pytest.fixture(scope="session")
def configured():
    """`configured(*words)`: the study's configuration for command-line words."""

    def make(*words):
        (configuration,) = configure(list(words), Tree(), study="localization")
        return configuration

    return make


@pytest.fixture(scope="session")
def parameters(configured):
    """`parameters(**changes)`: those of the published comparison, with changes."""
    published = configured().parameters

    def make(**changes):
        return {**copy.deepcopy(published), **changes}

    return make


@pytest.fixture(scope="session")
def linear(parameters):
    """`linear(method, n_particles, n_runs)`: four rays along the axes of an empty room, and a heading that stays.

    Then the ranges are W - x, H - y, x and y plus noise, and the filter is Kalman's. The wall is in a corner
    that no ray reaches; a heading of 0.02 makes ranges of 10 m longer by 0.002 m.
    """

    def make(method, n_particles, n_runs=1, **changes):
        return parameters(
            method=method, effort=0, particles={method: [n_particles]}, n_runs=n_runs, n_steps=4, n_rays=4,
            max_range=100.0, margin=0.0, data_set="model", n_moves=2,
            world={"width": 20.0, "height": 20.0, "walls": [[0.1, 0.1, 0.2, 0.1]]}, path=[[10.0, 10.0, 0.0]] * 5,
            initial={"x": 10.0, "y": 9.0, "heading": 0.0, "position_sd": 0.5, "heading_sd": 0.01},
            motion={"position_sd": 0.25, "heading_sd": 0.01}, hmc={"step_size": 0.01, "n_leapfrog": 5},
            grid={"n_cells": 7, "radius": 1.0, "heading_radius": 0.03, "margin": 0.0, "proposal_sd": 0.25,
                  "kernel_width": 0.7},
            reference={"coarse": [0.1, 0.01], "fine": [0.04, 0.004]}, **changes,
        )  # fmt: skip

    return make
