"""Recognises a drawn digit, in the order in which a drawing is processed.

digits.py    the tutorial's route `POST /predict`: a drawing or 64 numbers in, a digit out
decoding.py  decodes the form's text: base64, a data URL, or SVG as it is
drawing.py   makes a picture of a drawing, by the steps below
vectors.py   copies what is harmless of a stranger's SVG; styles.py reads its CSS, costs.py bounds the work
rasters.py   reads a stranger's PNG, JPEG, WebP or GIF
pages.py     renders any part of either
ink.py       tells the ink from its ground, whatever their colours; widens thin strokes
unusual.py   makes shapes that UCI's writers hardly drew like theirs: crossed zeros, slim digits, footed ones
picture.py   turns the ink into the 8×8 picture that the model knows, by the steps that made UCI's digits
"""
