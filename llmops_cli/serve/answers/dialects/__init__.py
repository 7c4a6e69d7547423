"""How clients and upstreams speak: one module for each form of a request or an answer."""
