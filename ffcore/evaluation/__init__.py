"""Average precision by the rules of WIDER FACE: ground truth, predictions, matching, scores.

Needs NumPy; SciPy too where the official ``.mat`` files are read, matplotlib where curves are drawn.
"""
