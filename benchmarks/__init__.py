"""Benchmarks: each prints what it measured beside its limit or peer of the same run. ``make bench``."""
