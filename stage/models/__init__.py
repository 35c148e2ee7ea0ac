"""The model store: a catalogue, several sources in order, one cache for all checkouts."""
