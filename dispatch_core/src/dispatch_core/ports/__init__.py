"""What the core asks of the world: a store, and observers called after commit."""
