"""Results in pages: reported and followed by alliances, read by everybody who has to do with one."""
