"""The gateway: one OpenAI-style door in front of engines.

With keys, limits, guard, metrics and an audit log.
"""
