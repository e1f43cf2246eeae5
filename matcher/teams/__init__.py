"""Labs that answer a need together: which few of them cover what is asked."""
