"""The command line of Dispatch and its engine agent."""

__version__ = "0.1.0"
