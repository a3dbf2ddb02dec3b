"""Scenes as files: SVG, and PNG made of it."""
