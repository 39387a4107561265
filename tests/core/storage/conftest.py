"""The shipped suite explains its failures like any test."""
