"""Geometry of faces in the plane: boxes, landmarks, and maps between frames."""
