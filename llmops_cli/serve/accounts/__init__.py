"""Who may spend what: keys, limits, budgets."""
