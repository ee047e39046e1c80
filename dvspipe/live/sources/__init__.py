"""Where live events come from: files and folders, UDP, a pipe."""
