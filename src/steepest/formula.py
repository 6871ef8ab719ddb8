"""Slopes of a curve: tables of them, and the formulas behind tables.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_formula.py.
"""

from .fits import Formula, Polynomial, PowerLaw, polynomial, power_law
from .slope_tables import SlopeTable, slope_table

__all__ = ["Formula", "Polynomial", "PowerLaw", "SlopeTable", "polynomial", "power_law", "slope_table"]
