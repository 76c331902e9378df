"""Categories of values out of arrays, lists of arrays and tables. Knows tables by their methods, imports none."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def categories_of(data: Any) -> list[np.ndarray]:
    """A list of (n_i,) float64 arrays without NaN: of a list of arrays, the rows of a 2-D array, or one 1-D array.

    Raises:
        ValueError: no categories, an array of other than one axis, infinite values, or nothing but missing values.
    """
    is_array = hasattr(data, "ndim") or hasattr(data, "__array__")
    items = np.asarray(data) if is_array else list(data)
    if isinstance(items, np.ndarray) and items.ndim not in (1, 2):
        raise ValueError(
            f"raincloud got an array of shape {items.shape}. Pass (n,), (categories, n) or a list of arrays."
        )
    if all(np.ndim(item) == 0 for item in items):
        # NumPy alone cannot make an array of JAX scalars of every dtype.
        items = [items if isinstance(items, np.ndarray) else np.asarray([np.asarray(item) for item in items])]
    categories = [_values(item, i) for i, item in enumerate(items)]
    if not any(values.size for values in categories):
        raise ValueError("raincloud got nothing to draw: no values at all, or only NaN.")
    return categories


def is_table(data: object) -> bool:
    """Whether `data` has named columns, as a DataFrame has."""
    return hasattr(data, "columns") and hasattr(data, "__getitem__")


def from_table(table: Any, x: Hashable, y: Hashable) -> tuple[list[str], list[np.ndarray]]:
    """`(names, values)`: of the column `y` by the column `x`; of `y` alone; or, without both, of every column.

    Raises:
        ValueError: a column that is not there, or x without y.
    """
    columns = list(table.columns)
    missing = [column for column in (x, y) if column is not None and column not in columns]
    if missing:
        raise ValueError(f"raincloud got the column {missing[0]!r}, which data does not have. Its columns: {columns}.")
    if x is not None and y is None:
        raise ValueError(f"raincloud got x={x!r} without y. Pass y=<column of values> too, or y alone.")
    if y is None:
        return [str(column) for column in columns], [_column(table, column) for column in columns]
    if x is None:
        return [str(y)], [_column(table, y)]
    return grouped(_column(table, x), _column(table, y))


def grouped(keys: Iterable[Any], values: ArrayLike) -> tuple[list[str], list[np.ndarray]]:
    """`(names, values)` of every different key, in order of appearance. Values whose key is NaN are left out.

    Args:
        keys: (n,) of anything hashable.
        values: (n,) numbers.

    Raises:
        ValueError: lengths that differ.
    """
    values = np.asarray(values)
    keys = [key.item() if hasattr(key, "item") else key for key in keys]
    if values.ndim != 1 or len(keys) != values.size:
        raise ValueError(f"raincloud got x of length {len(keys)} and y of shape {values.shape}. Pass two (n,) columns.")
    members: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        if key == key:  # not NaN
            members.setdefault(key, []).append(i)
    return [str(key) for key in members], [values[indices] for indices in members.values()]


def _column(table: Any, name: Hashable) -> np.ndarray:
    column = table[name]
    values = np.asarray(column)
    if values.dtype == object and hasattr(column, "isna"):
        values = np.where(np.asarray(column.isna()), np.nan, values)  # pandas.NA is not a number, not even NaN
    return values


def _values(item: ArrayLike, index: int) -> np.ndarray:
    values = np.asarray(item)
    if values.ndim != 1:
        raise ValueError(f"raincloud got an array of shape {values.shape} as category {index}. Pass (n,) arrays.")
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"raincloud got values of dtype {values.dtype} in category {index}. Pass numbers.") from None
    if np.isinf(numbers).any():
        raise ValueError(f"raincloud got infinite values in category {index}. Leave them out, or clip them.")
    return numbers[~np.isnan(numbers)]
