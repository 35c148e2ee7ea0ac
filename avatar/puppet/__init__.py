"""The vector puppet: layered SVG, rig file, deformers."""
