"""One file per system under comparison: every `frameworks/<name>.py` but `base.py` and those named `..._base.py`."""
