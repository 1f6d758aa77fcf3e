"""Turn the sketch of a flow into a picture, one form a file: a tree for the terminal, mermaid, dot, and SVG."""
