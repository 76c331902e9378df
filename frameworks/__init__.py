"""One file per system under comparison. Every `frameworks/<name>.py` but `base.py` and `jax_base.py` is a framework."""
