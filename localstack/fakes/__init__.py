"""A fake Treeherder, and a Pulse listener as Mozilla's were. Each file also runs as a program by itself."""
