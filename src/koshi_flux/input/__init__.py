"""Pictures and videos that a film is made from: files to frames. The package itself imports nothing."""
