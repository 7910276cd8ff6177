"""`python -m streamlog` is the command `streamlog`."""

from __future__ import annotations

import sys

from streamlog.cli import main

if __name__ == "__main__":
    sys.exit(main())
