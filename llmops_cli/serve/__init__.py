"""The gateway: one OpenAI-style door in front of engines, with keys, limits, guard, metrics and an
audit log.
"""
