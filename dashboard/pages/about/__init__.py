"""About: data, method and limits."""
