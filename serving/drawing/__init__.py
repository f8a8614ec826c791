"""Recognises a drawn digit, in the order in which a drawing is processed.

digits.py    the tutorial's route `POST /predict`: a drawing or 64 numbers in, a digit out
drawing.py   parses a stranger's SVG, crops it to its ink and renders it with a standard pen
picture.py   turns the ink into the 8×8 picture that the model knows, by the steps that made UCI's digits
"""
