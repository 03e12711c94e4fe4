"""Everything that can go wrong with a disk, a process or a file, done on purpose; see docs/reliability.md."""
