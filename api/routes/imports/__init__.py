"""Lists on their way into the records: looked through and corrected over HTTP before they are imported."""
