"""The words of Dispatch: frozen values that every other room speaks. Imports nothing above it."""
