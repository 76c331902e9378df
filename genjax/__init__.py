"""GenJAX: probabilistic programming with vectorised, programmable inference, in plain JAX."""

import importlib
import importlib.util
from typing import Any

from genjax.adev import Dual as Dual
from genjax.adev import categorical_enum_parallel as categorical_enum_parallel
from genjax.adev import expectation as expectation
from genjax.adev import flip_enum as flip_enum
from genjax.adev import flip_enum_parallel as flip_enum_parallel
from genjax.adev import flip_mvd as flip_mvd
from genjax.adev import flip_reinforce as flip_reinforce
from genjax.adev import geometric_reinforce as geometric_reinforce
from genjax.adev import multivariate_normal_diag_reparam as multivariate_normal_diag_reparam
from genjax.adev import multivariate_normal_reinforce as multivariate_normal_reinforce
from genjax.adev import multivariate_normal_reparam as multivariate_normal_reparam
from genjax.adev import normal_reinforce as normal_reinforce
from genjax.adev import normal_reparam as normal_reparam
from genjax.adev import uniform_reinforce as uniform_reinforce
from genjax.adev import uniform_reparam as uniform_reparam
from genjax.core import GFI as GFI
from genjax.core import Cond as Cond
from genjax.core import Const as Const
from genjax.core import Distribution as Distribution
from genjax.core import Fixed as Fixed
from genjax.core import Fn as Fn
from genjax.core import NotFixedException as NotFixedException
from genjax.core import Pytree as Pytree
from genjax.core import Scan as Scan
from genjax.core import Selection as Selection
from genjax.core import Tr as Tr
from genjax.core import Trace as Trace
from genjax.core import Vmap as Vmap
from genjax.core import const as const
from genjax.core import distribution as distribution
from genjax.core import filled as filled
from genjax.core import fixed as fixed
from genjax.core import gen as gen
from genjax.core import get_choices as get_choices
from genjax.core import indexed as indexed
from genjax.core import masked as masked
from genjax.core import sel as sel
from genjax.core import strict as strict
from genjax.core import tfp_distribution as tfp_distribution
from genjax.core import trace as trace
from genjax.distributions import bernoulli as bernoulli
from genjax.distributions import beta as beta
from genjax.distributions import beta_binomial as beta_binomial
from genjax.distributions import binomial as binomial
from genjax.distributions import categorical as categorical
from genjax.distributions import cauchy as cauchy
from genjax.distributions import chi2 as chi2
from genjax.distributions import dirichlet as dirichlet
from genjax.distributions import exponential as exponential
from genjax.distributions import flip as flip
from genjax.distributions import gamma as gamma
from genjax.distributions import gaussian_random_walk as gaussian_random_walk
from genjax.distributions import geometric as geometric
from genjax.distributions import gumbel as gumbel
from genjax.distributions import half_cauchy as half_cauchy
from genjax.distributions import half_normal as half_normal
from genjax.distributions import improper_uniform as improper_uniform
from genjax.distributions import inverse_gamma as inverse_gamma
from genjax.distributions import laplace as laplace
from genjax.distributions import lkj_cholesky as lkj_cholesky
from genjax.distributions import log_normal as log_normal
from genjax.distributions import logistic as logistic
from genjax.distributions import mixture as mixture
from genjax.distributions import multinomial as multinomial
from genjax.distributions import multivariate_normal as multivariate_normal
from genjax.distributions import multivariate_student_t as multivariate_student_t
from genjax.distributions import negative_binomial as negative_binomial
from genjax.distributions import normal as normal
from genjax.distributions import ordered_logistic as ordered_logistic
from genjax.distributions import pareto as pareto
from genjax.distributions import poisson as poisson
from genjax.distributions import student_t as student_t
from genjax.distributions import truncated_normal as truncated_normal
from genjax.distributions import uniform as uniform
from genjax.distributions import von_mises as von_mises
from genjax.distributions import weibull as weibull
from genjax.distributions import wishart as wishart
from genjax.distributions import zero_inflated as zero_inflated
from genjax.distributions import zipf as zipf
from genjax.inference.importance import importance_sampling as importance_sampling
from genjax.inference.importance import log_evidence as log_evidence
from genjax.inference.mcmc import MCMCResult as MCMCResult
from genjax.inference.mcmc import chain as chain
from genjax.inference.mcmc import compute_ess as compute_ess
from genjax.inference.mcmc import compute_rhat as compute_rhat
from genjax.inference.mcmc import hmc as hmc
from genjax.inference.mcmc import mala as mala
from genjax.inference.mcmc import mh as mh
from genjax.inference.smc import ParticleCollection as ParticleCollection
from genjax.inference.smc import change as change
from genjax.inference.smc import extend as extend
from genjax.inference.smc import init as init
from genjax.inference.smc import rejuvenate as rejuvenate
from genjax.inference.smc import rejuvenation_smc as rejuvenation_smc
from genjax.inference.smc import resample as resample
from genjax.inference.vi import VariationalApproximation as VariationalApproximation
from genjax.inference.vi import elbo_factory as elbo_factory
from genjax.inference.vi import elbo_vi as elbo_vi
from genjax.inference.vi import full_covariance_normal_family as full_covariance_normal_family
from genjax.inference.vi import mean_field_normal_family as mean_field_normal_family
from genjax.inference.vi import optimize_vi as optimize_vi
from genjax.pjax import modular_vmap as modular_vmap
from genjax.pjax import seed as seed
from genjax.state import namespace as namespace
from genjax.state import save as save
from genjax.state import state as state
from genjax.state import tag_state as tag_state

# Loaded when first asked for, to keep `import genjax` short.
_EXTRAS = (
    "DiscreteHMMTrace",
    "LinearGaussianTrace",
    "backward_sample",
    "compute_sequence_log_prob",
    "discrete_hmm",
    "discrete_hmm_exact_log_marginal",
    "discrete_hmm_inference_problem",
    "discrete_hmm_test_dataset",
    "forward_filter",
    "forward_filtering_backward_sampling",
    "kalman_filter",
    "kalman_smoother",
    "linear_gaussian",
    "linear_gaussian_exact_log_marginal",
    "linear_gaussian_inference_problem",
    "linear_gaussian_test_dataset",
    "sample_hmm_dataset",
    "sample_linear_gaussian_dataset",
)

_PLOTS = ("horizontal_raincloud", "raincloud")


def __getattr__(name: str) -> Any:
    if name == "extras" or name in _EXTRAS:
        extras = importlib.import_module("genjax.extras")
        return extras if name == "extras" else getattr(extras, name)
    if name == "viz":
        return importlib.import_module("genjax.viz")
    if name in _PLOTS:
        return getattr(importlib.import_module("genjax.viz.raincloud"), name)
    raise AttributeError(f"module 'genjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    # Without matplotlib there are no plots, and `from genjax import *` must not fail for their sake.
    plots = ("viz", *_PLOTS) if importlib.util.find_spec("matplotlib") else ()
    return sorted({*globals(), "extras", *_EXTRAS, *plots})


__all__ = sorted(name for name in __dir__() if not name.startswith("_") and name not in ("Any", "importlib"))
