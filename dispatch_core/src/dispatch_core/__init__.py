"""Durable, explainable job dispatch for fleets of engines."""
