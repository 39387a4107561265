"""The HTTP frontend of Dispatch."""

__version__ = "0.1.0"
