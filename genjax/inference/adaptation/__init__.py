"""Warm-up: step sizes, mass matrices and trajectory lengths from the chain itself."""

from genjax.inference.adaptation.chees import chees as chees
from genjax.inference.adaptation.warmup import Adapting as Adapting
from genjax.inference.adaptation.warmup import Warmed as Warmed
from genjax.inference.adaptation.warmup import warmup as warmup
