"""Makes docs/reference/ from the code: `python -m docs.tools.reference`, or `make reference`.

`markdown` has tables and texts; each other module is one page (`docstrings` two). `pages` lists them.
"""
