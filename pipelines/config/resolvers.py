"""Functions that a study's configuration may call, as in `${counts_up_to:${study.sizes_list},${study.largest}}`."""

from typing import Any

from omegaconf import ListConfig, OmegaConf


def register() -> None:
    """Makes the functions known to OmegaConf; more than once is harmless."""
    OmegaConf.register_new_resolver("counts_up_to", counts_up_to, replace=True)


def counts_up_to(counts: Any, largest: Any) -> list[int]:
    """The counts that are at most `largest`, in ascending order.

    Raises:
        ValueError: the list is empty, or no whole numbers above zero, or repeats a count, or none is left.
    """
    given = list(counts) if isinstance(counts, list | tuple | ListConfig) else [counts]
    wrong = [count for count in given if not isinstance(count, int) or isinstance(count, bool) or count < 1]
    if wrong or not given:
        raise ValueError(f"counts must be a list of whole numbers above zero, at least one; got {given}.")
    repeated = sorted({count for count in given if given.count(count) > 1})
    if repeated:
        raise ValueError(f"counts {repeated} are in the list more than once; name each once.")
    kept = sorted(count for count in given if count <= largest)
    if not kept:
        raise ValueError(f"no count is left: the smallest is {min(given):,} and the largest allowed {largest:,}.")
    return kept
