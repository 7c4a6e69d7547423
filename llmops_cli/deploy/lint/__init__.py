"""What validators of schemas miss: names that match nothing, ports that nobody has, secrets."""
