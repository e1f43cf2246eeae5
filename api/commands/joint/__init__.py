"""Commands on what several schools do at once: joint visits to companies."""
