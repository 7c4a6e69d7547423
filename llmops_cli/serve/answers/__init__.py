"""From a request to its answer: dialects, tokens counted, what was answered before."""
