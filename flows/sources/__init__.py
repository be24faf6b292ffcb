"""Where raw values come from. The only place that imports a network client; every base URL is configurable."""
