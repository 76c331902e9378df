"""What signatures call the values of which Python's types can say no more than `Any`. The shapes: `genjax.shapes`."""

from typing import Any, TypeAlias

PyTree: TypeAlias = Any
"""Arrays in any structure that JAX knows: an array, a number, tuples, lists and dicts of these, registered classes."""

Choices: TypeAlias = Any
"""The choices of a generative function: a nested dict from address to value, or the value itself of a distribution."""

ChoiceMap: TypeAlias = dict[str, Any]
"""The choices of a function with addresses: from address to what is beneath."""

Constraints: TypeAlias = Any
"""Choices, or some of them: None for nothing, `masked`, `indexed` and `filled` for parts, `strict` for no others."""

Args: TypeAlias = tuple[Any, ...]
"""What a function that is called elsewhere gets as `*args`."""

Kwargs: TypeAlias = dict[str, Any]
"""What a function that is called elsewhere gets as `**kwargs`."""
