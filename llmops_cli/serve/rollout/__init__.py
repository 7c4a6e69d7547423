"""What an operator does to a gateway that serves: canaries, promotion, the configuration before."""
