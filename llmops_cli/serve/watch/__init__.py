"""What is seen of the gateway: metrics, audit, traces, the dashboard."""
