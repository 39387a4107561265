"""How good the schedules are: the real dispatcher on simulated fleets, beside a lower bound and other rules."""
