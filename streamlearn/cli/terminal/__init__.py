"""What a terminal shows beside a command's own words.

groups.py      groups whose help shows each command's sentence whole
tables.py      tables under headings
progress.py    a progress bar on a terminal, lines elsewhere
completion.py  `completion`: what lets a shell complete commands and pipelines
"""
