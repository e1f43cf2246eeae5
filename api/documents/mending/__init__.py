"""What clients say and are told of records that are mended."""
