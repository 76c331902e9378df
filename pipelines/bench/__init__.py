"""Benchmarks against the targets of this project: every module here with a `TITLE` and a `run` is one."""
