"""The output of commands, a file for each kind of result: plain data, a page for people, a document for scripts."""
