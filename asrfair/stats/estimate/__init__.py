"""Rates of groups, their intervals, and what lies between the best and the worst."""
