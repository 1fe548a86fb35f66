"""The command line: `python -m bench` measures everything, `--only` some of it, `--quick` a little of it."""

from __future__ import annotations

from bench.cli import main

if __name__ == "__main__":
    main()
