"""What the demo, the bench and the pictures of the documentation are performed on.

A simulated modem, an HTTPS server that keeps what it gets, a Home Assistant in a process of its own, and the picture
that travels between them. Nothing here is part of the integration.
"""
