"""Where everything stands: rectangles, paths and lines of text with their places, and no theme or file format yet."""
