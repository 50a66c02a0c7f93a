"""A static web page that finds faces on the visitor's device."""
