"""Joins capabilities: resolving `demo`, making the format an engine needs, running a recipe of
steps.
"""
