"""One folder per case study. A folder with a `problem.py` is a study; see `studies/base.py` for what it must give."""
