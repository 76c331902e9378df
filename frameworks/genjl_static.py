"""Gen.jl, the static modelling language: the worker of `frameworks/genjl.py` with `@gen (static) function`."""

from frameworks.genjl import GenJl


class GenJlStatic(GenJl):
    """Description of the Julia worker for static generative functions; the rest is as for dynamic ones."""

    name = "genjl_static"
    label = "Gen.jl static"
    spellings = ()
    color = "#6495ED"
