"""`swirl`, and `python -m swirl`: the command line, with an answer to Ctrl-C from the first moment on."""

import sys


def main() -> int:
    """Run a command; returns its exit status."""
    try:
        from swirl.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
