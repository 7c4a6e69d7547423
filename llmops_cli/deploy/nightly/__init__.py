"""Jobs by night: a bench and a red team of models behind the gateway, whose runs `report` shows."""
