"""Letters: what leaves the product by mail, feed and webhook, made of what its reader may know at that moment."""
