"""Networks rearranged for speed: other operators, the same numbers."""
