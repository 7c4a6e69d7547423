"""Memory, FLOPs, bandwidth and cost as arithmetic. Pure."""
