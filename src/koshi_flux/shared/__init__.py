"""Vocabulary and numerics that every room of the house uses."""
