"""Load tests: workloads, the load generator, and the analysis of what it recorded."""
