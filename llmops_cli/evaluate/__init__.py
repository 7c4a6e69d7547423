"""How good a served model is at its tasks, whoever serves it."""
