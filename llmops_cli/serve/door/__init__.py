"""Where a request comes in: sockets, HTTP, who asks and whether they may."""
