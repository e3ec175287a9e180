"""What the stack has in place of Treeherder and of a listener on Pulse. Each file also runs as a program by itself."""
