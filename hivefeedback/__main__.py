"""``python -m hivefeedback`` is the command line as well."""

from __future__ import annotations

import sys

from hivefeedback.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
