"""`llmops guard eval`: how good the guard is on labelled texts, as a run that stays."""
