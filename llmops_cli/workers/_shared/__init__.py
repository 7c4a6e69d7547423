"""What workers of several environments use; few modules need more than the standard library."""
