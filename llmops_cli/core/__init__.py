"""The shared vocabulary: frozen data and arithmetic. No files, network, clock or processes."""
