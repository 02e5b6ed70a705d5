"""`python -m swirl` is `swirl`."""

import sys

from swirl.cli import main

if __name__ == "__main__":
    sys.exit(main())
