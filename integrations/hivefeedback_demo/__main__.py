"""``python -m hivefeedback_demo``."""

from __future__ import annotations

import sys

from hivefeedback_demo.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
