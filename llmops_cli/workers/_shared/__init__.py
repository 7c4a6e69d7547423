"""What workers of several environments use; standard library and numpy only, but for what a module says."""
