"""How urgent a job is per unit of machine time, in half octaves of weight / length: exact integers, so that
what is added for a job is what is taken away for it, by whoever counts.
"""

from __future__ import annotations

from bisect import bisect_right

FIRST_US, OCTAVES = 2**14, 28
LENGTHS = tuple(round(FIRST_US * 2 ** (half / 2)) for half in range(2 * OCTAVES))
"""Lengths (µs) at which a half octave begins: 16 ms to 36 days."""
LEVELS = len(LENGTHS) + 1 + 2 * 12
WEIGHT_UNITS = 16
"""Weights are counted in sixteenths: the least is 2^−4."""


def length_octave(est_us: int) -> int:
    """The half octave of a length, 0 … len(LENGTHS)."""
    return bisect_right(LENGTHS, est_us)


def weight_units(weight: float) -> int:
    """A weight in whole sixteenths, at least one."""
    return max(1, int(weight * WEIGHT_UNITS))


def level_of(weight: float, est_us: int) -> int:
    """The half octave of weight / length, higher is more urgent: 0 … LEVELS − 1."""
    return level_at(weight_units(weight), length_octave(est_us))


def level_at(units: int, octave: int) -> int:
    """The same for a weight in sixteenths and a half octave of length."""
    return len(LENGTHS) - octave + 2 * min(units.bit_length() - 1, 12)
