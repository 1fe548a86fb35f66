"""What commands print, a file for each kind of result: plain data, its page for a person, its document for a script."""
