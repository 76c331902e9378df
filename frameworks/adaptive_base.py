"""What the samplers that adapt have in common, whatever the system: how many chains, how long, and what they aim at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AdaptiveChains:
    """Settings of chains whose step sizes and mass matrices adapt, the same for every system.

    Args:
        n_samples: states kept of each chain, after `n_warmup` in which step size and mass matrix adapt.
        n_warmup: steps of the warm-up.
        n_chains: chains side by side, or one after the other where a system has no other way.
        target_acceptance: mean acceptance probability that the warm-up aims at.
    """

    n_samples: int
    n_warmup: int
    n_chains: int
    target_acceptance: float
