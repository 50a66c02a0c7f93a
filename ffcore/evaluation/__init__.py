"""Average precision by the rules of WIDER FACE: ground truth, predictions, matching, scores.

Needs NumPy, and matplotlib where curves are drawn.
"""
