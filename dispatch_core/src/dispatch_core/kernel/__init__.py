"""The pure kernel: decides about one job or one engine. No clock, randomness, ids, threads, logging or I/O."""
