"""Prompts as files with a version, below everything that asks a model or serves one."""
