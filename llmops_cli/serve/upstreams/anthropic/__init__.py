"""Upstreams that speak Anthropic's Messages: a chat becomes theirs, and their answers a chat's."""
