"""Files of texts and chats as every worker reads them."""
