"""Hosts, one folder each: data only, with its licence."""
