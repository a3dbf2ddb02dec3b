"""Transport of both clients: settings, connections that survive a fork, and repetition of calls."""
