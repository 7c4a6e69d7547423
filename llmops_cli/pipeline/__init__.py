"""Joins capabilities: a recipe of steps, and a gateway with the engines that it names."""
