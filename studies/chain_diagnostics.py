"""Diagnostics of Markov chains in float64 NumPy, for the gates of studies: they must not rest on a system's own."""

import numpy as np


def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """(k,) split R-hat of chains (n_chains, n_samples, k): every chain counts as two.

    With m half chains of n states, within-chain variance W and variance B / n of the half chains' means:
    sqrt(((n - 1) / n W + B / n) / W). Infinite where nothing moves.

    Source: Gelman et al., *Bayesian Data Analysis* (2013), section 11.4.
    """
    half = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :half], chains[:, half : 2 * half]])
    within_variance = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((half - 1) / half + between / within_variance)
    return np.where(within_variance > 0, ratio, np.inf)


def effective_sample_size(chains: np.ndarray) -> np.ndarray:
    """(k,) effective sample size of all chains (n_chains, n_samples, k) together, for the mean.

    n_chains n_samples / (1 + 2 sum of autocorrelations), pooled over chains, the sum cut at the first negative pair
    (Geyer's initial monotone sequence), and the variance including that between chains.

    Source: Vehtari et al., *Rank-normalization, folding, and localization* (2021), section 3.2.
    """
    n_chains, n_samples, n_values = chains.shape
    centred = chains - chains.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(2 * n_samples)))
    # By chain, so that memory stays that of a few chains.
    covariance = np.zeros((n_samples, n_values))
    for block in np.array_split(centred, max(1, n_chains // 256)):
        spectrum = np.fft.rfft(block, size, axis=1)
        covariance += np.fft.irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n_samples].sum(axis=0)
    covariance /= n_chains * n_samples
    within_variance = covariance[0] * n_samples / (n_samples - 1)
    total = covariance[0] + (chains.mean(axis=1).var(axis=0, ddof=1) if n_chains > 1 else 0.0)
    sizes = np.empty(n_values)
    for i in range(n_values):
        if not total[i] > 0:
            sizes[i] = 0.0
            continue
        correlation = 1 - (within_variance[i] - covariance[:, i]) / total[i]
        correlation[0] = 1.0
        n_pairs = n_samples // 2
        pairs = correlation[: 2 * n_pairs].reshape(n_pairs, 2).sum(axis=1)
        negative = np.flatnonzero(pairs < 0)
        pairs = np.minimum.accumulate(pairs[: negative[0] if len(negative) else n_pairs])
        time = max(2 * pairs.sum() - 1, 1 / np.log10(n_chains * n_samples))
        sizes[i] = n_chains * n_samples / time
    return sizes
