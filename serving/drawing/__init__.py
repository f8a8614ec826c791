"""A drawing becomes a picture, a picture a digit."""
