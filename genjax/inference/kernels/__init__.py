"""Markov kernels, one per file."""

from genjax.inference.kernels.combinators import compose as compose
from genjax.inference.kernels.combinators import cycle as cycle
from genjax.inference.kernels.combinators import mix as mix
from genjax.inference.kernels.combinators import repeat as repeat
from genjax.inference.kernels.elliptical import Elliptical as Elliptical
from genjax.inference.kernels.elliptical import elliptical_slice as elliptical_slice
from genjax.inference.kernels.function import Function as Function
from genjax.inference.kernels.function import as_kernel as as_kernel
from genjax.inference.kernels.gibbs import Gibbs as Gibbs
from genjax.inference.kernels.gibbs import gibbs as gibbs
from genjax.inference.kernels.hmc import HMC as HMC
from genjax.inference.kernels.hmc import hmc as hmc
from genjax.inference.kernels.kernel import Info as Info
from genjax.inference.kernels.kernel import Kernel as Kernel
from genjax.inference.kernels.kernel import TraceState as TraceState
from genjax.inference.kernels.kernel import apply as apply
from genjax.inference.kernels.mala import MALA as MALA
from genjax.inference.kernels.mala import mala as mala
from genjax.inference.kernels.mh import MH as MH
from genjax.inference.kernels.mh import mh as mh
from genjax.inference.kernels.nuts import NUTS as NUTS
from genjax.inference.kernels.nuts import nuts as nuts
from genjax.inference.kernels.random_walk import RandomWalk as RandomWalk
from genjax.inference.kernels.random_walk import random_walk as random_walk
from genjax.inference.kernels.slice import Slice as Slice
from genjax.inference.kernels.slice import slice_sample as slice_sample
