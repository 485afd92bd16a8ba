"""What the programs share: configuration, command line, run folder, console."""
