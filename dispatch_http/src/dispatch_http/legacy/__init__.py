"""The older fleet: its engines and its client speak another protocol, and this frontend speaks it with them.

Its engines carry no token and say "idle" while they work. What they hold is read from the store at every
call, so nothing is lost with this process and any number of servers may serve them.
"""
