"""Draws one trace for people, as text, as an SVG picture or as plain HTML."""
