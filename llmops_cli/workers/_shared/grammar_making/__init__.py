"""Grammars made in a process apart from the one that answers. Standard library only."""
