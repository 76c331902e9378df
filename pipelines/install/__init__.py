"""The environment that `./run` makes. Standard library only: it works before anything is installed."""
