"""How requests reach a server: where it is, connections that survive a fork, and which calls are repeated when."""
