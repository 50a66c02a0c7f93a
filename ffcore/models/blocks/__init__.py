"""The named blocks that the networks are put together from."""
