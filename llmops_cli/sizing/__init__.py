"""Arithmetic of memory, disk and time before they are spent. Pure: no files, no machine."""
