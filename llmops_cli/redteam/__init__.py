"""Attacks on a served model, judged answers, and success that people would agree with."""
