"""The built-in distributions: `jax.random` samplers and plain JAX densities, with TFP's parameter names and order."""

from genjax.distributions.bounded import beta as beta
from genjax.distributions.bounded import uniform as uniform
from genjax.distributions.counts import binomial as binomial
from genjax.distributions.counts import geometric as geometric
from genjax.distributions.counts import negative_binomial as negative_binomial
from genjax.distributions.counts import poisson as poisson
from genjax.distributions.counts import zipf as zipf
from genjax.distributions.discrete import bernoulli as bernoulli
from genjax.distributions.discrete import categorical as categorical
from genjax.distributions.discrete import flip as flip
from genjax.distributions.heavy_tails import cauchy as cauchy
from genjax.distributions.heavy_tails import laplace as laplace
from genjax.distributions.heavy_tails import student_t as student_t
from genjax.distributions.multivariate import dirichlet as dirichlet
from genjax.distributions.multivariate import multinomial as multinomial
from genjax.distributions.multivariate import multivariate_normal as multivariate_normal
from genjax.distributions.normals import half_normal as half_normal
from genjax.distributions.normals import log_normal as log_normal
from genjax.distributions.normals import normal as normal
from genjax.distributions.positive import chi2 as chi2
from genjax.distributions.positive import exponential as exponential
from genjax.distributions.positive import gamma as gamma
from genjax.distributions.positive import inverse_gamma as inverse_gamma
from genjax.distributions.positive import weibull as weibull
