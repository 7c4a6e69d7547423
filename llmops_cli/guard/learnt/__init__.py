"""The guard's learnt second stage: a small monotone model over signs, never over words."""
