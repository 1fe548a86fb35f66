"""What keeps the pages true: `reference` makes docs/reference/ from the code, `blocks` reads the blocks of commands of
a page, `links` the links.

The tests in tests/docs/ run both. Neither is installed.
"""
