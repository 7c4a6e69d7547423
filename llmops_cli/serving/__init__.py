"""A model, a backend and options become a running server: the only way to one."""
