"""Inference: importance sampling, Markov chain Monte Carlo, sequential Monte Carlo."""

from genjax.inference.importance import ImportanceResult as ImportanceResult
from genjax.inference.importance import importance_sampling as importance_sampling
from genjax.inference.importance import log_evidence as log_evidence
from genjax.inference.mcmc import MCMCResult as MCMCResult
from genjax.inference.mcmc import chain as chain
from genjax.inference.mcmc import compute_ess as compute_ess
from genjax.inference.mcmc import compute_rhat as compute_rhat
from genjax.inference.mcmc import hmc as hmc
from genjax.inference.mcmc import mala as mala
from genjax.inference.mcmc import mh as mh
from genjax.inference.resampling import ancestral_lineage as ancestral_lineage
from genjax.inference.resampling import effective_sample_size as effective_sample_size
from genjax.inference.resampling import resample_ancestors as resample_ancestors
from genjax.inference.resampling import systematic_resample as systematic_resample
from genjax.inference.smc import ParticleCollection as ParticleCollection
from genjax.inference.smc import change as change
from genjax.inference.smc import extend as extend
from genjax.inference.smc import extend_csmc as extend_csmc
from genjax.inference.smc import init as init
from genjax.inference.smc import init_csmc as init_csmc
from genjax.inference.smc import rejuvenate as rejuvenate
from genjax.inference.smc import rejuvenation_smc as rejuvenation_smc
from genjax.inference.smc import resample as resample
from genjax.inference.smc import resample_csmc as resample_csmc
