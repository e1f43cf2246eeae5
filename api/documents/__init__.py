"""What the server says and takes, by subject: answers, bodies, documents and charts."""
