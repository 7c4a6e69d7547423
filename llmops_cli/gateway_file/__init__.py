"""gateway.yaml: what it may say, and how it is read. Nothing here serves or deploys."""
