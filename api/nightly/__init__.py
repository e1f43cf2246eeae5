"""What is done every night: the steps and their table, the runner that carries them out, the report, the command."""
