"""`python -m forwardpass_server` is `forwardpass-server`."""

from forwardpass_server.cli import main

main()
