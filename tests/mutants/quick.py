"""A Hypothesis profile for mutants: generate only (nobody reads a shrunk example), the same row every time."""

from hypothesis import Phase, settings

settings.register_profile(
    "mutants", deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None
)
