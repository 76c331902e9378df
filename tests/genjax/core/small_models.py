"""A density in NumPy and two small models, shared by the tests of the core."""

import numpy as np

from genjax import gen, normal


def log_normal_density(x, mean, scale):
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


@gen
def point(x):
    y = normal(x, 1.0) @ "y"
    return y


@gen
def step(carry, x):
    n = normal(carry, 1.0) @ "n"
    m = normal(n, 2.0) @ "m"
    return n, m
