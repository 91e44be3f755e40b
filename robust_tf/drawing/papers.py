"""Results that the papers print: Charles Marshall's thesis and Gui et al. (arXiv 1902.03538), from papers.json."""

import json
from pathlib import Path


def printed(table):
    """The rows of a table as dicts; accuracies as printed, percent in the thesis and fractions in Gui et al."""
    return json.loads(Path(__file__).with_name("papers.json").read_text())[table]
