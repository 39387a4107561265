"""For test suites: strategies, a fleet state machine, fault injection, checkers and the storage suite."""
