"""Optimisers of a loss, with the interface of optax: `init(params) -> state`, `update(gradients, state, params)`.

Source: Kingma and Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from genjax.signatures import PyTree


class Optimizer(Protocol):
    """What makes updates of gradients, as optax's optimisers do."""

    def init(self, params: PyTree, /) -> PyTree:
        """The state before the first step."""
        ...

    def update(self, gradients: PyTree, state: PyTree, params: PyTree | None = None, /) -> tuple[PyTree, PyTree]:
        """`(updates, state)`: what is added to the parameters, and the state after the step."""
        ...


@dataclass(frozen=True)
class Adam:
    """Adam: steps along the mean of recent gradients over the root of their mean square.

    A step moves a parameter by about `learning_rate` at most, whatever the size of the gradients. Near an optimum of
    curvature h, with gradients of standard deviation s, the parameters scatter with variance `learning_rate s / (2 h)`.

    Attributes:
        learning_rate: r, a number, or a scalar array where the optimiser is made inside of compiled code.
        first_decay, second_decay: the share of the former means that each step keeps.
        epsilon: added to the root.
    """

    learning_rate: float | jax.Array = 1e-3
    first_decay: float = 0.9
    second_decay: float = 0.999
    epsilon: float = 1e-8

    def init(self, params: PyTree) -> tuple[PyTree, PyTree, jax.Array]:
        """Zero means, and the number of steps so far."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        return zeros, zeros, jnp.zeros((), jnp.int32)

    def update(self, gradients: PyTree, state: PyTree, params: PyTree | None = None) -> tuple[PyTree, PyTree]:
        """`(updates, state)`: `-r m / (sqrt(v) + epsilon)` of means m and v, corrected for their start."""
        first, second, n_steps = state
        n_steps = n_steps + 1
        first = jax.tree.map(lambda m, g: self.first_decay * m + (1 - self.first_decay) * g, first, gradients)
        second = jax.tree.map(lambda v, g: self.second_decay * v + (1 - self.second_decay) * g * g, second, gradients)

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            count = n_steps.astype(m.dtype)
            mean, square = m / (1 - self.first_decay**count), v / (1 - self.second_decay**count)
            return -self.learning_rate * mean / (jnp.sqrt(square) + self.epsilon)

        return jax.tree.map(step, first, second), (first, second, n_steps)


@dataclass(frozen=True)
class GradientDescent:
    """`params <- params - learning_rate gradient`: for an objective that is maximised, plain gradient ascent.

    Attributes:
        learning_rate: r, a number.
    """

    learning_rate: float | jax.Array

    def init(self, params: PyTree) -> None:
        """There is no state."""

    def update(self, gradients: PyTree, state: None, params: PyTree | None = None) -> tuple[PyTree, None]:
        """`(-r gradients, None)`."""
        return jax.tree.map(lambda g: -self.learning_rate * g, gradients), None
