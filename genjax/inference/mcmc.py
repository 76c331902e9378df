"""Markov chain Monte Carlo: kernels, chains and their diagnostics, under one import path."""

from genjax.inference.chain import MCMCResult as MCMCResult
from genjax.inference.chain import chain as chain
from genjax.inference.diagnostics import compute_ess as compute_ess
from genjax.inference.diagnostics import compute_rhat as compute_rhat
from genjax.inference.kernels import hmc as hmc
from genjax.inference.kernels import mala as mala
from genjax.inference.kernels import mh as mh
