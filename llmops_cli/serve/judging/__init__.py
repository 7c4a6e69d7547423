"""What takes long to read or judge leaves the event loop: processes of lower priority do it."""
