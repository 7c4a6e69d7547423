"""How a question is asked: one technique a module, found by name in `table.py`."""
