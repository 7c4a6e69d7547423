"""Grammars that hold an answer to a form: schemas, patterns and GBNF, run in Python alone."""
