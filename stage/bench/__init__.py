"""Every figure we claim, measured from the outside where it can be, printed beside its target."""
