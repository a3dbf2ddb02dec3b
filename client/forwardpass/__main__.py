"""The command line: `python -m forwardpass` is `forwardpass`."""

from forwardpass.cli import main

if __name__ == "__main__":
    main()
