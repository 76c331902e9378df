"""PJAX: JAX with random choices as primitives, vectorised by plain `jax.vmap` and keyed by `seed`."""

from genjax.pjax.errors import BindingContext as BindingContext
from genjax.pjax.errors import LoweringSamplePrimitiveToMLIRException as LoweringSamplePrimitiveToMLIRException
from genjax.pjax.seed import seed as seed
from genjax.pjax.sites import SITE_PRIMITIVES as SITE_PRIMITIVES
from genjax.pjax.sites import Sampler as Sampler
from genjax.pjax.sites import adev_sample_p as adev_sample_p
from genjax.pjax.sites import log_density_binder as log_density_binder
from genjax.pjax.sites import log_density_p as log_density_p
from genjax.pjax.sites import sample_binder as sample_binder
from genjax.pjax.sites import sample_p as sample_p
from genjax.pjax.sites import sample_site as sample_site
from genjax.pjax.sites import wrap_logpdf as wrap_logpdf
from genjax.pjax.sites import wrap_sampler as wrap_sampler
from genjax.pjax.staging import PPPrimitive as PPPrimitive
from genjax.pjax.staging import stage as stage
from genjax.pjax.vectorize import modular_vmap as modular_vmap

#: Compiling a random choice without a key raises. False bakes one constant key into the program instead.
enforce_lowering_exception = True
#: With `enforce_lowering_exception = False`: warn for every key that is baked in.
lowering_warning = False
