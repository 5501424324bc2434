"""What to send and how: destinations, formats, the engine that carries an upload out, and its result."""
