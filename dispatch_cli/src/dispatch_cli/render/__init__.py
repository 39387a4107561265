"""How forms look to people."""
