"""Building blocks of figures, for evaluation modes and the report.

figures.py   a figure: a chart, a table or pictures; or a line about what is missing
words.py     numbers, settings and names as text
papers.py    results that the two papers print, from papers.json, to be drawn beside ours
"""
