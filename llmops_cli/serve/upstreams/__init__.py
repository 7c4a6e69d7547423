"""Who can answer: routing, health, retries, canaries, the HTTP client."""
