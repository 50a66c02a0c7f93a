"""Finding faces in images and videos."""
