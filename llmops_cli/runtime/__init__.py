"""Every side effect that capabilities share: processes, environments, HTTP, hardware, files."""
