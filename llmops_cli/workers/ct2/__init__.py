"""Programs over CTranslate2: the server and the conversion."""
