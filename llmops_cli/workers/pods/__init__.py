"""What pods run beside their engine: a download with digests before it, a wait before its end."""
