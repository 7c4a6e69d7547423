"""Files of test cases, as promptfoo has them: YAML, JSON, CSV and JSONL."""
