"""Expressions and gestures as data; a character's own `motions/` folder overrides them by name."""
