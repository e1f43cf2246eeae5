"""What takes several parties one after the other, or several schools at once: chains of companies, joint visits."""
