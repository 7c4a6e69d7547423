"""`python -m llmops_cli` is `llmops`."""

from llmops_cli.cli.app import main

main()
