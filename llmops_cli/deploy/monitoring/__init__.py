"""What watches a deployment: rules with tests, routes of alerts, dashboards, logs."""
