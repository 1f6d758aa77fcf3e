"""The types of the flow file: what they are, how they are written, and what they mean to a server."""
