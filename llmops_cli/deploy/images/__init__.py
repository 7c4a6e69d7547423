"""Images of the gateway and of engines: their Containerfile, its context, and who builds it."""
