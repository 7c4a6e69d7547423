"""One thin Typer module per command; app.py is the only place that prints an error or exits."""
