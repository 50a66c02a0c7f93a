"""The networks, their names and their weights."""
